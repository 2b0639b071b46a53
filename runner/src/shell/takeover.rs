//! Taking over from a runner that died: what its coordinators have recorded, and which of them live.

use super::*;

impl Shell<'_> {
    pub(super) fn same_boot(&self) -> bool {
        self.reach.is_this_boot(self.engine.recorded_boot_id())
    }

    pub(super) fn recover(&mut self) -> Result<(), RunError> {
        let table = self.reach.proc.table().unwrap_or_default();
        let sessions: HashSet<i32> =
            table.iter().filter(|stat| !stat.zombie).map(|stat| stat.session).collect();
        let same_boot = self.same_boot();
        for process in 0..self.engine.len() {
            let last = self.engine.last_run(process);
            if last.state.is_none_or(Run::is_terminal) {
                continue;
            }
            let name = format!("coordinator.{}", self.engine.name(process));
            let file = match self.files.read_stream(&name) {
                Ok(file) => Some(file),
                Err(error) if error.error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error.into()),
            };
            let mut offset = 0;
            if let Some(file) = &file {
                let mut reader = Reader::new();
                while let Ok(Next::Record(record)) = reader.next(file) {
                    if let RunnerCkpt::ProcessStatus(status) = record {
                        let leftovers = self
                            .engine
                            .last_run(process)
                            .coordinator
                            .is_some_and(|claim| same_boot && sessions.contains(&claim.pid));
                        self.tell(Event::Recorded { status, leftovers })?;
                    }
                }
                offset = reader.offset();
            }
            let last = self.engine.last_run(process);
            let (Some(run), Some(claim)) = (last.state, last.coordinator) else { continue };
            if !run.is_forked() {
                continue;
            }
            let alive = match file {
                Some(file) if same_boot => {
                    self.reach.identify(&claim, &file).map(|handle| (handle, file))
                }
                _ => None,
            };
            match alive {
                Some((handle, stream)) => {
                    let slot = self.slots.len() as u32;
                    self.slots.push(Some(Live {
                        process,
                        pid: claim.pid,
                        stream,
                        offset,
                        ended: false,
                        leftovers: false,
                        adopted: Some(handle),
                    }));
                    self.by_pid.insert(claim.pid, slot);
                    self.current.insert(process, slot);
                    if run == Run::Forked {
                        self.settle_at = Some((now().mono + 5_000, 5_000));
                    }
                    log!(
                        Level::Info,
                        "Adopted the coordinator of Process({})",
                        self.engine.name(process)
                    );
                }
                None => {
                    let reason = "its coordinator was gone when the runner came back".to_owned();
                    self.tell(Event::CoordinatorGone { process, reason })?;
                }
            }
        }
        if self.is_quiet() {
            self.tell(Event::Quiet)?;
        }
        Ok(())
    }
}
