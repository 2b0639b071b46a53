//! Reading a log while it is written and rotated.
//!
//! A [`Follower`] holds the file that it reads. At its end it asks which file the log goes on in: the
//! one after it, wherever that has moved to in the meantime. Files are told apart by their inode, which
//! cannot be used again as long as the follower has the file open, and by the mark with which the
//! coordinator begins each file. So nothing is read twice and nothing is left out as long as the
//! follower is less behind than what is kept; when it is not, the mark says how much it has missed.
//!
//! A file that was compressed is the same file: it says which one it was made of, has its mark, and is
//! read as if nothing had happened to it.
//!
//! Looking for files goes upwards, from the current one to the oldest, as they move in that direction:
//! a file that is moved meanwhile may be seen twice, but is not missed.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};

use rustix::fs::OFlags;

use super::Output;
use super::account::{MARK, Mark};
use super::gzip::{self, Unzip};
use crate::files::open_regular;

/// So many files of one output are looked at.
const MOST: u32 = 1 << 16;

/// So many files are held open. What comes after these is found again when it is their turn.
const HELD: usize = 128;

/// Numbers that may be free below a file: while files move, one is, and seems to be another one for
/// who looks slowly.
const FREE: u32 = 3;

/// How often the present file is looked for before it is taken to be gone.
const SCANS: u32 = 3;

/// Bytes that are looked through at a time.
const CHUNK: usize = 64 << 10;

/// One file of a log.
#[derive(Debug)]
pub struct Part {
    file: File,
    device: u64,
    inode: u64,
    /// Where it begins among everything that was written; absent where file systems have no room for
    /// marks, and in logs that nobody copies.
    mark: Option<Mark>,
    content: Content,
}

/// How to read a file.
#[derive(Debug)]
enum Content {
    /// As it is.
    Plain,
    /// Compressed.
    Zipped {
        /// Inode number of the file that it was made of.
        source: Option<u64>,
        reader: Box<Unzip>,
    },
}

impl Part {
    fn open(directory: &OwnedFd, output: Output, index: u32) -> io::Result<Part> {
        let name = match index {
            0 => output.name().to_owned(),
            index => format!("{}.{index}", output.name()),
        };
        let open = |name: &str| open_regular(directory, name, OFlags::RDONLY);
        match open(&name) {
            // A compressed file is there before the plain one goes.
            Err(error) if error.kind() == io::ErrorKind::NotFound && index > 0 => {
                let file = open(&format!("{name}.gz"))?;
                let mut head = [0; gzip::HEAD];
                let n = file.read_at(&mut head, 0)?;
                let source = head.get(..n).and_then(gzip::source);
                Part::new(file, Content::Zipped { source, reader: Box::default() })
            }
            file => Part::new(file?, Content::Plain),
        }
    }

    fn new(file: File, content: Content) -> io::Result<Part> {
        let meta = file.metadata()?;
        let mut buffer = [0; Mark::ROOM];
        let mark = rustix::fs::fgetxattr(&file, MARK, &mut buffer[..])
            .ok()
            .and_then(|length| Mark::decode(buffer.get(..length)?));
        Ok(Part { file, device: meta.dev(), inode: meta.ino(), mark, content })
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// What tells it apart from every other file, as long as it is open.
    pub fn id(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Is it the same part of the log?
    fn is(&self, other: &Part) -> bool {
        self.id() == other.id() || self.was_made_of(other) || other.was_made_of(self)
    }

    /// The number of a file that is gone may be another one's by now; its mark is not.
    fn was_made_of(&self, other: &Part) -> bool {
        let Content::Zipped { source, .. } = self.content else { return false };
        self.device == other.device && source == Some(other.inode) && self.mark == other.mark
    }

    /// Bytes of content.
    fn length(&mut self) -> io::Result<u64> {
        match &mut self.content {
            Content::Plain => Ok(self.file.metadata()?.len()),
            Content::Zipped { reader, .. } => reader.length(&self.file),
        }
    }

    /// Reads content; 0: there is nothing at this place.
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match &mut self.content {
            Content::Plain => self.file.read_at(buffer, offset),
            Content::Zipped { reader, .. } => reader.read_at(&self.file, buffer, offset),
        }
    }

    /// Where the last `lines` lines before `end` start, and how many line starts were found there. A
    /// line end at the very end of a log ends the last line and starts no other.
    fn last_lines(&mut self, end: u64, lines: usize, end_of_log: bool) -> io::Result<(u64, usize)> {
        match &self.content {
            Content::Plain => start_of_last_lines(&self.file, end, lines, end_of_log),
            Content::Zipped { .. } => self.last_lines_forward(end, lines, end_of_log),
        }
    }

    /// The same for what cannot be read backwards: the lines are counted, then the right one is looked
    /// for.
    fn last_lines_forward(
        &mut self,
        end: u64,
        lines: usize,
        end_of_log: bool,
    ) -> io::Result<(u64, usize)> {
        if lines == 0 {
            return Ok((end, 0));
        }
        // What is after the line end with this number, counted from 0; or how many there are.
        let mut scan = |wanted: usize| -> io::Result<Result<u64, usize>> {
            let mut chunk = vec![0; CHUNK];
            let (mut at, mut seen) = (0, 0);
            while at < end {
                let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(CHUNK);
                let n = self.read_at(&mut chunk[..most], at)?;
                for (i, byte) in chunk[..n].iter().enumerate() {
                    let after = at + i as u64 + 1;
                    if *byte == b'\n' && !(end_of_log && after == end) {
                        if seen == wanted {
                            return Ok(Ok(after));
                        }
                        seen += 1;
                    }
                }
                at += n as u64;
                if n == 0 {
                    break;
                }
            }
            Ok(Err(seen))
        };
        let Err(found) = scan(usize::MAX)? else { return Ok((0, 0)) };
        match found.checked_sub(lines) {
            None => Ok((0, found)),
            Some(first) => Ok(match scan(first)? {
                Ok(start) => (start, lines),
                // It shrank in between.
                Err(found) => (0, found),
            }),
        }
    }
}

/// What a follower comes upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// So many bytes of the log, in the buffer.
    Bytes(usize),
    /// So many bytes were written and rotated out before they were read; `None`: nobody can say how
    /// many.
    Missed(Option<u64>),
    /// So many bytes were never written: the disk was full, or the directory gone.
    Dropped(u64),
    /// Nothing more, for now.
    End,
}

/// Reads one output of one run.
#[derive(Debug)]
pub struct Follower {
    directory: OwnedFd,
    output: Output,
    part: Part,
    offset: u64,
    /// Parts that follow the present one, the next one last. They are held, so they cannot get lost.
    next: Vec<Part>,
    /// What is to be told before anything else is read.
    told: Vec<Found>,
}

impl Follower {
    /// Opens a log in the log directory of a run, at the end of what is there.
    pub fn open(directory: OwnedFd, output: Output) -> io::Result<Follower> {
        let mut part = Part::open(&directory, output, 0).or_else(|error| match error.kind() {
            // Just between two files.
            io::ErrorKind::NotFound => Part::open(&directory, output, 1).map_err(|_| error),
            _ => Err(error),
        })?;
        let offset = part.length()?;
        let (next, told) = (Vec::new(), Vec::new());
        Ok(Follower { directory, output, part, offset, next, told })
    }

    /// The file that is being read.
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// The log directory.
    pub fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    /// Goes back to where the last `lines` lines begin, as far as there are files.
    pub fn rewind(&mut self, lines: usize) -> io::Result<()> {
        let mut wanted = lines;
        let mut end_of_log = true;
        loop {
            let end = self.offset;
            let (start, found) = self.part.last_lines(end, wanted, end_of_log)?;
            self.offset = start;
            wanted -= found.min(wanted);
            if start > 0 || wanted == 0 {
                return Ok(());
            }
            // A line may begin in one file and end in the next.
            end_of_log &= end == 0;
            let Some(mut previous) = self.previous()? else { return Ok(()) };
            let end = previous.length()?;
            self.next.push(std::mem::replace(&mut self.part, previous));
            self.offset = end;
        }
    }

    /// The file before the present one, if it is there and nothing is missing in between.
    fn previous(&self) -> io::Result<Option<Part>> {
        let parts = self.parts(Until::Before)?;
        let Some(at) = parts.iter().position(|part| part.is(&self.part)) else { return Ok(None) };
        let Some(mut previous) = parts.into_iter().nth(at + 1) else { return Ok(None) };
        let length = previous.length()?;
        let fits = match (previous.mark, self.part.mark) {
            (Some(there), Some(here)) => there.start.saturating_add_unsigned(length) == here.start,
            _ => true,
        };
        Ok(fits.then_some(previous))
    }

    /// What comes next.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Found> {
        loop {
            if let Some(found) = self.told.pop() {
                return Ok(found);
            }
            match self.read_here(buffer)? {
                0 => {}
                n => return Ok(Found::Bytes(n)),
            }
            if self.next.is_empty() {
                self.find_next()?;
            }
            if self.next.is_empty() {
                return Ok(if self.told.is_empty() { Found::End } else { continue });
            }
            // What was written to the present file before the next one was begun.
            match self.read_here(buffer)? {
                0 => {}
                n => return Ok(Found::Bytes(n)),
            }
            self.advance()?;
        }
    }

    fn read_here(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.part.read_at(buffer, self.offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) => {
                    if self.part.length()? >= self.offset {
                        return Ok(0);
                    }
                    // Somebody emptied the file.
                    self.offset = 0;
                }
                Ok(n) => {
                    self.offset += n as u64;
                    return Ok(n);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Goes on with the next part.
    fn advance(&mut self) -> io::Result<()> {
        let Some(next) = self.next.pop() else { return Ok(()) };
        // Told in reverse.
        if let (Some(here), Some(there)) = (self.part.mark, next.mark) {
            let end = here.start.saturating_add_unsigned(self.offset);
            let missed = there.start.saturating_sub(end);
            let dropped = there.dropped.saturating_sub(here.dropped);
            if dropped > 0 {
                self.told.push(Found::Dropped(dropped));
            }
            if let Ok(missed @ 1..) = u64::try_from(missed) {
                self.told.push(Found::Missed(Some(missed)));
            }
        }
        self.part = next;
        self.offset = 0;
        Ok(())
    }

    /// Finds the files that follow the present one.
    fn find_next(&mut self) -> io::Result<()> {
        let mut parts = Vec::new();
        for _ in 0..SCANS {
            parts = self.parts(Until::Present)?;
            if let Some(at) = parts.iter().position(|part| part.is(&self.part)) {
                parts.truncate(at);
                self.next = parts;
                return Ok(());
            }
        }
        // The present file was rotated out, or removed. What is older than its end, in the same
        // place, is of an earlier task, or was read before.
        let end = self.part.mark.map(|mark| mark.start.saturating_add_unsigned(self.offset));
        if let Some(end) = end {
            parts.retain(|part| part.mark.is_none_or(|mark| mark.start >= end));
        }
        if let Some(oldest) = parts.last()
            && (end.is_none() || oldest.mark.is_none())
        {
            self.told.push(Found::Missed(None));
        }
        self.next = parts;
        Ok(())
    }

    /// The files of the log from the newest to the present one or the one before it, none of them
    /// twice; all of them if the present one is not found. Of many, the oldest.
    fn parts(&self, until: Until) -> io::Result<Vec<Part>> {
        let mut parts: Vec<Part> = Vec::new();
        let (mut free, mut past) = (0, false);
        for index in 0..MOST {
            let part = match Part::open(&self.directory, self.output, index) {
                Ok(part) => part,
                Err(error) if error.kind() == io::ErrorKind::NotFound && free < FREE => {
                    free += 1;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            };
            free = 0;
            if parts.iter().any(|known| known.is(&part)) {
                continue;
            }
            let present = part.is(&self.part);
            parts.push(part);
            if past || (present && until == Until::Present) {
                break;
            }
            past = present;
            if parts.len() > HELD {
                parts.remove(0);
            }
        }
        // Who looks slowly may see a file that is newer than the one before it.
        if parts.iter().all(|part| part.mark.is_some()) {
            parts.sort_by_key(|part| std::cmp::Reverse(part.mark.map(|mark| mark.start)));
        }
        Ok(parts)
    }
}

/// How far to look for files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// To the present one.
    Present,
    /// To the one before it.
    Before,
}

/// Where the last `lines` lines before `end` start, and how many line starts were found there. A line
/// end at the very end of a log ends the last line and starts no other.
fn start_of_last_lines(
    file: &File,
    end: u64,
    lines: usize,
    end_of_log: bool,
) -> io::Result<(u64, usize)> {
    let mut chunk = vec![0; CHUNK];
    let (mut at, mut seen) = (end, 0);
    if lines == 0 {
        return Ok((end, 0));
    }
    while at > 0 {
        let start = at.saturating_sub(CHUNK as u64);
        let part = &mut chunk[..(at - start) as usize];
        match file.read_exact_at(part, start) {
            // It shrank in between: what is there now is all new.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok((0, seen)),
            other => other?,
        }
        for (i, byte) in part.iter().enumerate().rev() {
            let position = start + i as u64;
            let ends_the_log = end_of_log && position + 1 == end;
            if *byte == b'\n' && !ends_the_log {
                seen += 1;
                if seen == lines {
                    return Ok((position + 1, seen));
                }
            }
        }
        at = start;
    }
    Ok((0, seen))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::Limits;
    use crate::logs::files::{Directory, Job, LogFiles};
    use crate::logs::gzip::compress;
    use proptest::prelude::*;
    use rustix::fs::Mode;
    use std::os::fd::AsFd;
    use std::path::Path;

    fn open(path: &Path) -> OwnedFd {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty()).unwrap()
    }

    /// A log that is rotated by hand.
    struct Log {
        dir: tempfile::TempDir,
        directory: Directory,
        files: LogFiles,
        mark: Mark,
    }

    impl Log {
        fn new(backups: u32) -> Log {
            let limits = |backups| Some(Limits { size: 1, backups, compress: true });
            let dir = tempfile::tempdir().unwrap();
            let fd = open(dir.path());
            let directory = Directory::new(open(dir.path()), fd.as_fd(), c"p", c"0").unwrap();
            let files = LogFiles::open(&directory, Output::Stdout, limits(backups)).unwrap();
            Log { dir, directory, files, mark: Mark { start: 0, dropped: 0 } }
        }

        fn write(&mut self, text: &str) {
            assert_eq!(self.files.write(text.as_bytes()), Ok(text.len()));
            self.mark.start += text.len() as i64;
        }

        fn rotate(&mut self) {
            self.files.rotate(&self.directory, self.mark).unwrap();
        }

        /// Compresses the next file, if one waits, and gives it no name yet.
        fn make_compressed(&mut self) -> Option<Job> {
            let (job, file) = self.files.job(&self.directory)?;
            self.files.backlog().unwrap().begun();
            let (directory, target) = (self.directory.fd(), job.target.as_c_str());
            compress(directory, file.as_fd(), job.identity, job.log, target, || true).unwrap();
            Some(job)
        }

        fn compress(&mut self) {
            if let Some(job) = self.make_compressed() {
                self.files.compressed(&self.directory, &job, true);
            }
        }

        fn names(&self) -> Vec<String> {
            let entries = std::fs::read_dir(self.dir.path()).unwrap();
            let mut names: Vec<String> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }

        fn follow(&self) -> Follower {
            Follower::open(open(self.dir.path()), Output::Stdout).unwrap()
        }

        fn without_marks(&self) {
            for entry in std::fs::read_dir(self.dir.path()).unwrap() {
                let file = File::open(entry.unwrap().path()).unwrap();
                rustix::fs::fremovexattr(&file, MARK).unwrap();
            }
        }
    }

    /// Everything that is there now, as text.
    fn news(follower: &mut Follower) -> String {
        let (mut text, mut buffer) = (String::new(), [0; 7]);
        loop {
            match follower.read(&mut buffer).unwrap() {
                Found::Bytes(n) => text += std::str::from_utf8(&buffer[..n]).unwrap(),
                Found::Missed(Some(n)) => text += &format!("<{n} missed>"),
                Found::Missed(None) => text += "<missed>",
                Found::Dropped(n) => text += &format!("<{n} dropped>"),
                Found::End => return text,
            }
        }
    }

    #[test]
    fn a_follower_sees_everything_that_is_kept() {
        let mut log = Log::new(3);
        let mut follower = log.follow();
        assert_eq!(news(&mut follower), "");
        log.write("a1 a2 ");
        assert_eq!(news(&mut follower), "a1 a2 ");
        log.write("a3 ");
        log.rotate();
        log.write("b ");
        log.rotate();
        log.rotate();
        log.write("c ");
        assert_eq!(news(&mut follower), "a3 b c ");
        assert_eq!(news(&mut follower), "");
    }

    #[test]
    fn a_follower_that_is_too_slow_is_told_what_it_missed() {
        let mut log = Log::new(2);
        let mut follower = log.follow();
        log.write("first ");
        for text in ["a ", "bb ", "ccc ", "dddd ", "e "] {
            log.rotate();
            log.write(text);
        }
        log.mark.dropped = 9;
        log.rotate();
        log.write("f");
        // Its own file is still open; of what came then, files d and e are left.
        assert_eq!(news(&mut follower), "first <9 missed>dddd e <9 dropped>f");
    }

    #[test]
    fn without_marks_nobody_can_say_how_much_was_missed() {
        let mut log = Log::new(2);
        let mut follower = log.follow();
        log.write("first ");
        log.without_marks();
        let mut follower_without = log.follow();
        follower_without.rewind(1).unwrap();
        log.rotate();
        log.write("a ");
        assert_eq!(news(&mut follower_without), "first a ");
        for text in ["b ", "c ", "d "] {
            log.rotate();
            log.write(text);
        }
        log.without_marks();
        assert_eq!(news(&mut follower_without), "<missed>b c d ");
        assert_eq!(news(&mut follower), "first <missed>b c d ");
    }

    #[test]
    fn last_lines_reach_into_older_files() {
        let mut log = Log::new(3);
        for text in ["l1\nl2\nl", "3\nl4\n", "l5\n"] {
            log.write(text);
            log.rotate();
        }
        let last = |lines| {
            let mut follower = log.follow();
            follower.rewind(lines).unwrap();
            news(&mut follower)
        };
        assert_eq!(last(0), "");
        assert_eq!(last(1), "l5\n");
        assert_eq!(last(2), "l4\nl5\n");
        assert_eq!(last(3), "l3\nl4\nl5\n");
        assert_eq!(last(5), "l1\nl2\nl3\nl4\nl5\n");
        assert_eq!(last(50), last(5));
    }

    #[test]
    fn last_lines_reach_into_compressed_files() {
        let mut log = Log::new(3);
        for text in ["l1\nl2\nl", "3\nl4\n", "l5\n"] {
            log.write(text);
            log.rotate();
            log.compress();
        }
        assert_eq!(log.names(), ["stdout", "stdout.1.gz", "stdout.2.gz", "stdout.3.gz"]);
        let last = |lines| {
            let mut follower = log.follow();
            follower.rewind(lines).unwrap();
            news(&mut follower)
        };
        assert_eq!(last(0), "");
        assert_eq!(last(1), "l5\n");
        assert_eq!(last(2), "l4\nl5\n");
        assert_eq!(last(3), "l3\nl4\nl5\n");
        assert_eq!(last(50), "l1\nl2\nl3\nl4\nl5\n");
    }

    #[test]
    fn a_follower_knows_a_file_that_was_compressed() {
        let mut log = Log::new(3);
        let mut follower = log.follow();
        log.write("first ");
        assert_eq!(news(&mut follower), "first ");
        log.write("a ");
        log.rotate();
        log.compress();
        log.write("b ");
        log.rotate();
        log.compress();
        log.write("c ");
        assert_eq!(news(&mut follower), "a b c ");
        // One that is in a compressed file while that moves on.
        let mut again = log.follow();
        again.rewind(9).unwrap();
        for text in ["d ", "e "] {
            log.rotate();
            log.compress();
            log.write(text);
        }
        assert_eq!(news(&mut again), "first a b c d e ");
        // Both are there for a moment, and for ever if somebody dies in between.
        log.rotate();
        log.make_compressed().unwrap();
        let path = |name: &str| log.dir.path().join(name);
        std::fs::rename(path("stdout.gz.tmp"), path("stdout.1.gz")).unwrap();
        log.write("f ");
        assert_eq!(news(&mut again), "f ");
        let mut both = log.follow();
        both.rewind(1).unwrap();
        assert_eq!(news(&mut both), "c d e f ");
        for text in ["h ", "i ", "j ", "k ", "l "] {
            log.rotate();
            log.compress();
            log.write(text);
        }
        assert_eq!(news(&mut again), "<2 missed>i j k l ");
    }

    #[test]
    fn half_a_compressed_file_is_a_gap() {
        let mut log = Log::new(3);
        log.write(&"line\n".repeat(30_000));
        log.rotate();
        log.compress();
        log.write("next\n");
        let zipped = log.dir.path().join("stdout.1.gz");
        let length = std::fs::metadata(&zipped).unwrap().len();
        File::options().write(true).open(&zipped).unwrap().set_len(length / 2).unwrap();
        let mut follower = log.follow();
        follower.rewind(2).unwrap();
        assert_eq!(news(&mut follower), "next\n", "what does not reach so far is not before it");
        std::fs::write(&zipped, "nonsense").unwrap();
        assert_eq!(news(&mut log.follow()), "");
    }

    #[test]
    fn a_log_that_was_emptied_or_made_anew_goes_on() {
        let mut log = Log::new(1);
        log.write("aaa");
        let mut follower = log.follow();
        follower.rewind(1).unwrap();
        assert_eq!(news(&mut follower), "aaa");
        File::options()
            .write(true)
            .open(log.dir.path().join("stdout"))
            .unwrap()
            .set_len(0)
            .unwrap();
        log.write("b");
        assert_eq!(news(&mut follower), "b");
        std::fs::remove_file(log.dir.path().join("stdout")).unwrap();
        let mark = log.mark;
        log.files.size(&mut log.directory, mark).unwrap();
        log.write("c");
        assert!(news(&mut follower).ends_with('c'));
    }

    #[test]
    fn links_are_not_followed() {
        let log = Log::new(1);
        std::fs::remove_file(log.dir.path().join("stdout")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", log.dir.path().join("stdout")).unwrap();
        Follower::open(open(log.dir.path()), Output::Stdout).unwrap_err();
    }

    #[test]
    fn last_lines_of_one_file() {
        use std::io::Write;
        let start = |text: &[u8], lines| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text).unwrap();
            start_of_last_lines(&file, text.len() as u64, lines, true).unwrap().0
        };
        assert_eq!(start(b"", 10), 0);
        assert_eq!(start(b"a\nb\nc\n", 10), 0);
        assert_eq!(start(b"a\nb\nc\n", 2), 2);
        assert_eq!(start(b"a\nb\nc", 2), 2);
        assert_eq!(start(b"a\nb\nc\n", 0), 6);
        assert_eq!(start(b"\n\n\n", 1), 2);
        let chunk = 64 << 10;
        let long =
            [b"x".repeat(chunk + 5), b"\n".to_vec(), b"y".repeat(chunk), b"\n".to_vec()].concat();
        assert_eq!(start(&long, 1), chunk as u64 + 6);
        assert_eq!(start(&long, 2), 0);
    }

    proptest! {
        /// However reads and rotations alternate: what is read and what is told to be missing add up.
        #[test]
        fn nothing_is_lost_or_doubled(
            backups in 1u32..5,
            steps in proptest::collection::vec((0u8..6, 1usize..9), 1..60),
        ) {
            let mut log = Log::new(backups);
            let mut follower = log.follow();
            let (mut written, mut at) = (Vec::new(), 0);
            let mut buffer = [0; 5];
            let mut digits = (b'a'..=b'z').cycle();
            for (what, n) in steps.into_iter().chain([(3, 1000)]) {
                match what {
                    0 => {
                        let text: Vec<u8> = digits.by_ref().take(n).collect();
                        log.write(std::str::from_utf8(&text).unwrap());
                        written.extend(text);
                    }
                    1 => log.rotate(),
                    4 | 5 => log.compress(),
                    _ => for _ in 0..n {
                        match follower.read(&mut buffer).unwrap() {
                            Found::Bytes(n) => {
                                prop_assert_eq!(&buffer[..n], &written[at..at + n]);
                                at += n;
                            }
                            Found::Missed(missed) => at += missed.unwrap() as usize,
                            Found::Dropped(_) => prop_assert!(false),
                            Found::End => break,
                        }
                    },
                }
            }
            prop_assert_eq!(at, written.len());
        }
    }
}
