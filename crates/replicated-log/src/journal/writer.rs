//! The thread that writes.

use super::*;

/// The segment that is written to.
pub(super) struct Tail {
    pub(super) sequence: u64,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) salt: u64,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// What a frame under construction does, once it is durable.
pub(super) enum Change {
    Entry { id: LogId, range: Range<usize> },
    Truncate { index: u64 },
}

/// The thread.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) replica: ReplicaId,
    /// As last written.
    pub(super) vote: Vote,
    /// Sequence and what came before, of each segment.
    pub(super) segments: VecDeque<(u64, Option<LogId>)>,
    pub(super) tail: Tail,
    /// Makes the file of the next segment.
    pub(super) spare: Option<JoinHandle<io::Result<Arc<dyn DiskFile>>>>,
    pub(super) frame: FrameBuilder,
    /// What is in `frame`.
    pub(super) written: Vec<Change>,
    /// Who waits for `frame`.
    pub(super) waiting: Vec<Done>,
}

/// Name of the file that becomes the next segment.
const SPARE: &str = "spare.new";

/// Name of the file that becomes a segment longer than others.
const LARGE: &str = "large.new";

impl Writer {
    pub(super) fn run(mut self, commands: &mpsc::Receiver<Command>) {
        while let Ok(command) = commands.recv() {
            self.frame.clear();
            let mut next = Some(command);
            while let Some(command) = next {
                self.take(command);
                if self.frame.len() >= FRAME_LIMIT {
                    self.flush();
                }
                next = commands.try_recv().ok();
            }
            self.flush();
        }
        if let Some(spare) = self.spare.take() {
            // It is removed when the log is opened.
            let _ = spare.join();
        }
    }

    fn take(&mut self, command: Command) {
        if let Some(fatal) = self.shared.failed.get() {
            return command.done()(Err(fatal.clone()));
        }
        match command {
            Command::Append { entries, done } => {
                for entry in &entries {
                    let range = self.frame.entry(entry);
                    self.written.push(Change::Entry { id: entry.log_id, range });
                }
                self.waiting.push(done);
            }
            Command::Truncate { index, done } => {
                self.flush();
                let truncated = self.check(|writer| writer.truncate(index));
                done(truncated);
            }
            Command::Purge { upto, done } => {
                self.flush();
                let purged = self.check(|writer| writer.purge(upto));
                done(purged);
            }
            Command::Vote { vote, done } => {
                self.flush();
                self.vote = vote;
                let voted = self.check(|writer| {
                    writer.write_vote().map_err(|error| ("write", VOTE.to_owned(), error))
                });
                done(voted);
            }
        }
    }

    /// Does something, if nothing has failed before; a failure is the last thing that it does.
    fn check(
        &mut self,
        act: impl FnOnce(&mut Writer) -> Result<(), (&'static str, String, io::Error)>,
    ) -> Result<(), Fatal> {
        if let Some(fatal) = self.shared.failed.get() {
            return Err(fatal.clone());
        }
        act(self).map_err(|(what, name, error)| {
            let path = self.shared.path.join(name);
            let fatal = Fatal::new(format!("failed to {what} {}: {error}", path.display()));
            self.shared.failed.get_or_init(|| fatal).clone()
        })
    }

    /// Writes the frame and tells who waits.
    fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let result = self.check(Writer::write_frame);
        self.frame.clear();
        self.written.clear();
        for done in self.waiting.drain(..) {
            done(result.clone());
        }
    }

    fn write_frame(&mut self) -> Result<(), (&'static str, String, io::Error)> {
        // An empty append.
        if self.frame.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        if !self.fits() {
            let needed = self.frame.len() as u64 + FRAME_PADDING;
            let previous = self.shared.contents().durable();
            self.next_segment(needed, previous, false)
                .map_err(|error| ("begin", self.next_name(), error))?;
        }
        let Tail { sequence, ref file, salt, offset, length } = self.tail;
        let committed = self.shared.committed.load(Ordering::Relaxed);
        let bytes = self.frame.finish(salt, offset, committed);
        write_all(&**file, bytes, offset)
            .and_then(|()| file.sync())
            .map_err(|error| ("write", segment_name(sequence), error))?;
        self.tail.offset += bytes.len() as u64;
        self.shared.counters.segment_bytes.add(bytes.len() as u64);
        self.shared.counters.syncs.add(1);
        let mut contents = self.shared.contents();
        for change in &self.written {
            match change {
                Change::Entry { id, range } => {
                    let content = bytes.get(range.clone()).unwrap_or_default();
                    let at = offset + range.start as u64;
                    contents.places.push_back(Place {
                        id: *id,
                        segment: sequence,
                        offset: u32::try_from(at).unwrap_or(u32::MAX),
                        length: u32::try_from(content.len()).unwrap_or(u32::MAX),
                        sum: crc32c::crc32c(content),
                    });
                }
                Change::Truncate { index } => contents.truncate_places(*index),
            }
        }
        let unapplied = self.shared.unapplied.load(Ordering::Relaxed);
        contents.evict(self.shared.options.cache, unapplied);
        drop(contents);
        self.shared.counters.sync.record(begun.elapsed());
        if self.tail.offset > length / 2 && self.spare.is_none() {
            self.prepare().map_err(|error| ("prepare", SPARE.to_owned(), error))?;
        }
        Ok(())
    }

    fn write_vote(&self) -> io::Result<()> {
        let voted = Voted { vote: self.vote, segment: self.tail.sequence };
        replace(&*self.shared.disk, VOTE, &seal::encode_vote(&voted))
    }

    fn next_name(&self) -> String {
        segment_name(self.tail.sequence + 1)
    }

    /// Begins to make the file of the next segment, in the background.
    fn prepare(&mut self) -> io::Result<()> {
        let (disk, length) = (Arc::clone(&self.shared.disk), self.shared.options.segment);
        let thread = std::thread::Builder::new().name("log-spare".into());
        self.spare = Some(thread.spawn(move || zeros(&*disk, SPARE, length))?);
        Ok(())
    }

    /// Goes on in a new segment with room for a frame; see [`Header`] for the rest.
    fn next_segment(
        &mut self,
        needed: u64,
        previous: Option<LogId>,
        reset: bool,
    ) -> io::Result<()> {
        let disk = Arc::clone(&self.shared.disk);
        let usual = self.shared.options.segment;
        let least = (HEADER as u64 + needed).next_multiple_of(PAGE);
        let (name, length) = if least > usual { (LARGE, least) } else { (SPARE, usual) };
        let file = if name == LARGE {
            zeros(&*disk, name, length)?
        } else {
            if self.spare.is_none() {
                self.prepare()?;
            }
            match self.spare.take().map(JoinHandle::join) {
                Some(Ok(made)) => made?,
                _ => return Err(io::Error::other("the thread that makes it panicked")),
            }
        };
        let sequence = self.tail.sequence + 1;
        let header = Header {
            sequence,
            salt: random::number()?,
            replica: self.replica,
            length,
            previous,
            reset,
        };
        write_all(&*file, &header.encode(), 0)?;
        file.sync()?;
        disk.rename(name, &segment_name(sequence))?;
        disk.sync()?;
        self.shared.counters.segments.add(1);
        self.segments.push_back((sequence, previous));
        self.shared.contents().segments.insert(sequence, Arc::clone(&file));
        self.tail = Tail { sequence, file, salt: header.salt, offset: HEADER as u64, length };
        // Before anything is in it that could be missed.
        self.write_vote()
    }

    /// Truncates entries: with a record in this segment if they are all in it, or with a new one, as
    /// such a record would make no sense once the segments before are gone.
    fn truncate(&mut self, index: u64) -> Result<(), (&'static str, String, io::Error)> {
        self.frame.clear();
        self.frame.truncate(index);
        let (_, previous) = self.segments.back().copied().unwrap_or_default();
        if index >= previous.next_index() && self.fits() {
            self.written.push(Change::Truncate { index });
            let written = self.write_frame();
            self.written.clear();
            self.frame.clear();
            return written;
        }
        self.frame.clear();
        let previous = self.shared.contents().durable_before(index);
        self.next_segment(0, previous, true).map_err(|error| ("begin", self.next_name(), error))?;
        self.shared.contents().truncate_places(index);
        Ok(())
    }

    /// Is there room for the frame in this segment?
    fn fits(&self) -> bool {
        self.frame.len() as u64 + FRAME_PADDING <= self.tail.length - self.tail.offset
    }

    fn purge(&mut self, upto: LogId) -> Result<(), (&'static str, String, io::Error)> {
        let reset = self.shared.contents().durable().next_index() <= upto.index;
        if reset {
            self.next_segment(0, Some(upto), true)
                .map_err(|error| ("begin", self.next_name(), error))?;
            let mut contents = self.shared.contents();
            contents.places.clear();
            contents.before_places = Some(upto);
            contents.start = upto.index + 1;
        }
        let retained = self.shared.retained.load(Ordering::Relaxed);
        let limit = if reset { u64::MAX } else { retained.min(upto.index.saturating_add(1)) };
        // A segment can go if the next one begins within what is kept.
        while let Some((_, before)) = self.segments.get(1).copied()
            && before.next_index() <= limit
        {
            let Some((sequence, _)) = self.segments.pop_front() else { break };
            let name = segment_name(sequence);
            // One after the other: no crash may leave a gap.
            let removed = self.shared.disk.remove(&name).and_then(|()| self.shared.disk.sync());
            removed.map_err(|error| ("remove", name, error))?;
            self.shared.contents().drop_segment(sequence);
        }
        Ok(())
    }
}

/// Most bytes of padding behind a frame.
const FRAME_PADDING: u64 = 8;
