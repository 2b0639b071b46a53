//! Launching: a coordinator for each run, and permission for it to start bash.

use super::*;

impl Shell<'_> {
    pub(super) fn launch(&mut self, process: u32, run: u32, seq: i64) -> Event {
        let deferred = |after: Micros| Event::Deferred { process, until: now().mono + after };
        let not_forked = |reason: String| Event::NotForked { process, reason };
        if now().mono < self.short_until && self.engine.awaits_bash() {
            // The room for another coordinator is what the last one needs for its bash.
            return deferred(SHORT_RETRY);
        }
        let name = self.engine.name(process);
        if name.len() > MAX_NAME {
            return not_forked(format!("its name is longer than {MAX_NAME} bytes"));
        }
        let spec = &self.settings.task.processes[process as usize];
        let way = match Way::of(spec.logger.as_ref().unwrap_or(&self.settings.logger)) {
            Ok(way) => way.compressing(self.settings.compress),
            Err(reason) => return not_forked(format!("its logger is not valid: {reason}")),
        };
        let (Ok(c_name), Ok(c_run)) = (CString::new(name), CString::new(run.to_string())) else {
            return not_forked("its name contains a NUL byte".to_owned());
        };
        let program = match program(&self.settings, &spec.cmdline) {
            Ok(program) => program,
            Err(error) => {
                return not_forked(format!("its command line contains a NUL byte: {error}"));
            }
        };
        let stream_name = format!("coordinator.{name}");
        // The coordinator of the last run may not have been reaped yet; it shares the lock.
        let shared = self
            .current
            .get(&process)
            .and_then(|slot| self.slots[*slot as usize].as_ref())
            .filter(|live| live.adopted.is_none())
            .map(|live| (live.stream.try_clone(), live.offset));
        let stream = match shared {
            Some((Ok(stream), offset)) => (stream, offset),
            _ => match self.open_coordinator_stream(&stream_name) {
                Ok(Some(opened)) => opened,
                Ok(None) => {
                    let tries = self.lock_retries.entry(process).or_default();
                    *tries += 1;
                    if *tries <= LOCK_RETRIES {
                        return deferred(LOCK_RETRY);
                    }
                    let path = self.files.stream_path(&stream_name);
                    return not_forked(format!("{} is locked by another process", path.display()));
                }
                Err(error) if is_shortage(&error.error) => {
                    log!(Level::Warn, "{error}; trying again");
                    return deferred(RETRY);
                }
                Err(error) => return not_forked(error.to_string()),
            },
        };
        self.lock_retries.remove(&process);
        let (stream, offset) = stream;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        let forked = coordinator::fork(&Launch {
            slot,
            name: &c_name,
            run: &c_run,
            seq,
            stream: stream.as_fd(),
            notes: self.notes_write.as_fd(),
            sandbox: self.sandbox.as_fd(),
            proc: self.reach.proc.fd().as_fd(),
            null: self.null.as_fd(),
            way,
            identity: self.identity.as_ref(),
            late_identity: self.settings.containerizer.is_some(),
            chroot: self.settings.chroot,
            program: &program,
            environment: &self.environment,
            open_files: self.open_files,
            heap: self.heap,
        });
        match forked {
            Ok(forked) => {
                log!(Level::Info, "Forking Process({name})");
                let pid = forked.pid;
                let ticks = self.reach.proc.stat(pid).map(|stat| stat.ticks);
                self.slots[slot as usize] = Some(Live {
                    process,
                    pid,
                    stream,
                    offset,
                    ended: false,
                    leftovers: false,
                    adopted: None,
                });
                self.by_pid.insert(pid, slot);
                self.current.insert(process, slot);
                self.waiting_for_go = Some((slot, forked));
                Event::Forked { process, pid, ticks }
            }
            Err(error) => {
                self.free.push(slot);
                if is_shortage(&error) {
                    self.short_until = now().mono + SHORTAGE;
                    log!(Level::Warn, "cannot fork for Process({name}): {error}; trying again");
                    deferred(RETRY)
                } else {
                    not_forked(format!("failed to fork: {error}"))
                }
            }
        }
    }

    /// The stream of a process's coordinators, locked, and where its next record will be; `None` if
    /// somebody else holds the lock.
    pub(super) fn open_coordinator_stream(
        &self,
        name: &str,
    ) -> Result<Option<(File, u64)>, files::FileError> {
        let (file, size) = self.files.open_stream(name)?;
        let path = || self.files.stream_path(name);
        if !files::try_lock(&file).map_err(|error| failed("lock", path())(error))? {
            return Ok(None);
        }
        if size == 0 {
            return Ok(Some((file, 0)));
        }
        // A coordinator that was killed in the middle of a write left a torn record.
        let mut reader = Reader::new();
        let whole = loop {
            match reader.next(&file) {
                Ok(Next::Record(_)) => {}
                Ok(Next::End | Next::Torn(_)) | Err(_) => break reader.offset(),
            }
        };
        if whole < size {
            file.set_len(whole).map_err(|error| failed("truncate", path())(error))?;
        }
        Ok(Some((file, whole)))
    }

    /// The FORKED record is decided: commit it in both streams, then let bash start.
    pub(super) fn go(&mut self, process: u32) -> Result<(), RunError> {
        use std::io::Write;
        let Some((slot, forked)) = self.waiting_for_go.take() else { return Ok(()) };
        if let Some(Some(live)) = self.slots.get_mut(slot as usize) {
            let mut tries = 0;
            while let Err(error) = (&live.stream).write_all(&self.forked_frame) {
                if tries == 0 {
                    let name = self.engine.name(process);
                    log!(Level::Error, "cannot record the fork of Process({name}): {error}");
                    crate::logging::flush();
                }
                tries += 1;
                if tries > WRITE_PATIENCE {
                    // Without the go byte the coordinator exits, and the run is lost.
                    return Ok(());
                }
                // A torn record would hide the next one.
                let _ = live.stream.set_len(live.offset);
                std::thread::sleep(Duration::from_secs(1));
            }
            // Nothing is said about where the record went: a keeper of an earlier run may have written
            // before it. It will be read once more, and is known then.
        }
        self.commit()?;
        forked.go();
        Ok(())
    }
}
