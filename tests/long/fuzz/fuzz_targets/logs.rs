//! Logs: output that is cut into files, counted and written to a disk with moods; and a follower of a
//! log whose files are written, rotated, compressed, damaged and removed while it reads. Nothing is
//! lost and nothing doubled; whatever a user puts into his files, there is no panic and an end.

#![no_main]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use thermos_runner::logs::account::{Account, MARK, Mark};
use thermos_runner::logs::backlog::Backlog;
use thermos_runner::logs::follow::{Follower, Found};
use thermos_runner::logs::patience::{PATIENCE, Patience, RETRY, Verdict};
use thermos_runner::logs::rotation::{LOOK_BACK, Rotation, Step};
use thermos_runner::logs::{Micros, Output, gzip};

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    let mut u = Unstructured::new(rest);
    // Too little input ends a case, and is no failure.
    let _ = match kind % 4 {
        0 | 1 => copied(&mut u),
        2 => followed(&mut u),
        _ => {
            foreign(rest);
            Ok(())
        }
    };
});

// ---- cutting, counting, waiting ----

enum Disk {
    /// Takes so many bytes at most.
    Takes(u8),
    Full,
    /// Full when a file is begun.
    NoFile,
}

impl Disk {
    /// Without input, there is room.
    fn next(u: &mut Unstructured<'_>) -> Disk {
        match u.arbitrary::<u8>() {
            Ok(0) => Disk::Full,
            Ok(1) => Disk::NoFile,
            Ok(most) => Disk::Takes(most),
            Err(_) => Disk::Takes(u8::MAX),
        }
    }
}

/// The copier of one output without its files: every byte is in exactly one place.
fn copied(u: &mut Unstructured<'_>) -> Result<()> {
    let limit = u64::from(u.int_in_range(1..=600u16)?);
    let mut rotation = Rotation::new(Some(limit));
    let mut account = Account::<u8>::new();
    let (mut patience, mut now) = (Patience::Good, 0 as Micros);
    let (mut files, mut sent, mut lost) = (vec![Vec::new()], Vec::new(), Vec::new());
    while !u.is_empty() {
        let length = usize::from(u.arbitrary::<u16>()?) % 800;
        let piece: Vec<u8> = u.bytes(length.min(u.len()))?.to_vec();
        account.receive(piece.len());
        sent.extend_from_slice(&piece);
        let mut rest: &[u8] = &piece;
        let mut waited = 0;
        while !rest.is_empty() {
            let verdict = match patience.admit(now) {
                Ok(()) => match (rotation.step(rest), Disk::next(u)) {
                    (Step::Rotate, Disk::Takes(_)) => {
                        rotation.rotated();
                        patience.succeeded();
                        waited = 0;
                        files.push(Vec::new());
                        None
                    }
                    (Step::Write(n), Disk::Takes(most)) => {
                        assert!(n > 0 && n <= rest.len());
                        let n = n.min(usize::from(most) + 1);
                        rotation.wrote(&rest[..n]);
                        account.write(n);
                        patience.succeeded();
                        waited = 0;
                        files.last_mut().unwrap().extend_from_slice(&rest[..n]);
                        rest = &rest[n..];
                        None
                    }
                    (_, Disk::Full | Disk::NoFile) => Some(patience.failed(now)),
                },
                Err(verdict) => Some(verdict),
            };
            match verdict {
                None => {}
                Some(Verdict::Wait) => {
                    now += RETRY;
                    waited += RETRY;
                    assert!(
                        waited <= PATIENCE + RETRY,
                        "nobody is held up for longer by a disk that takes nothing"
                    );
                }
                Some(Verdict::Drop) => {
                    account.discard(rest.len(), 0);
                    lost.extend_from_slice(rest);
                    rest = &[];
                    now += RETRY / 2;
                }
            }
        }
        assert_eq!(account.received(), account.written() + account.dropped().0);
    }
    let written: usize = files.iter().map(Vec::len).sum();
    assert_eq!(account.received() as usize, sent.len());
    assert_eq!(account.written() as usize, written);
    assert_eq!(account.dropped().0 as usize, lost.len());
    assert_eq!(account.due().is_some(), !lost.is_empty());
    for (i, file) in files.iter().enumerate() {
        assert!(file.len() as u64 <= limit, "a file is larger than it may be");
        assert!(i == 0 || i + 1 == files.len() || !file.is_empty());
        let room = limit as usize - file.len();
        assert!(i + 1 == files.len() || room <= LOOK_BACK);
    }
    if lost.is_empty() {
        assert_eq!(files.concat(), sent);
    }
    Ok(())
}

// ---- following ----

enum Act {
    Write(u8),
    Drop(u8),
    Rotate,
    /// A compressor is begun, ends well, or ends badly.
    Begin,
    Finish,
    Fail,
    /// Dies between the two steps of replacing a file.
    FinishHalf,
    Read(u8),
    Anew(u8),
}

impl Act {
    fn next(u: &mut Unstructured<'_>) -> Result<Act> {
        Ok(match u.arbitrary::<u8>()? % 9 {
            0 => Act::Write(u.arbitrary()?),
            1 => Act::Drop(u.arbitrary()?),
            2 => Act::Rotate,
            3 => Act::Begin,
            4 => Act::Finish,
            5 => Act::Fail,
            6 => Act::FinishHalf,
            7 => Act::Read(u.arbitrary()?),
            _ => Act::Anew(u.arbitrary()?),
        })
    }
}

/// A log in real files, moved and compressed by the rules of the coordinator.
struct Log {
    dir: PathBuf,
    backups: u32,
    backlog: Backlog,
    /// What the compressor has made, and the inode that it was made of.
    made: Option<(u64, Vec<u8>, Mark)>,
    current: File,
    all: Vec<u8>,
    mark: Mark,
}

fn set_mark(file: &File, mark: Mark) {
    let mut buffer = [0; Mark::ROOM];
    let n = mark.encode(&mut buffer);
    rustix::fs::fsetxattr(file, MARK, &buffer[..n], rustix::fs::XattrFlags::empty()).unwrap();
}

fn get_mark(file: &File) -> Mark {
    let mut buffer = [0; Mark::ROOM];
    let n = rustix::fs::fgetxattr(file, MARK, &mut buffer[..]).unwrap();
    Mark::decode(&buffer[..n]).unwrap()
}

impl Log {
    fn new(dir: PathBuf, backups: u32) -> Log {
        let current = File::create(dir.join("stdout")).unwrap();
        let mark = Mark { start: 0, dropped: 0 };
        set_mark(&current, mark);
        let backlog = Backlog::new(backups);
        Log { dir, backups, backlog, made: None, current, all: Vec::new(), mark }
    }

    fn path(&self, index: u32, ending: &str) -> PathBuf {
        match index {
            0 => self.dir.join("stdout"),
            index => self.dir.join(format!("stdout.{index}{ending}")),
        }
    }

    fn write(&mut self, n: u8) {
        let text: Vec<u8> = (0..n).map(|i| b"abcdefg\n"[usize::from(i % 8)]).collect();
        self.current.write_all(&text).unwrap();
        self.all.extend_from_slice(&text);
        self.mark.start += i64::from(n);
    }

    fn rotate(&mut self) {
        for index in (0..=self.backups).rev() {
            for ending in ["", ".gz"] {
                let _ = match index == self.backups {
                    true => fs::remove_file(self.path(index, ending)),
                    false => fs::rename(self.path(index, ending), self.path(index + 1, ending)),
                };
                if index == 0 {
                    break;
                }
            }
        }
        self.backlog.rotated();
        self.current = File::create_new(self.path(0, "")).unwrap();
        set_mark(&self.current, self.mark);
    }

    fn begin(&mut self) {
        let Some(number) = self.backlog.next() else { return };
        let file = File::open(self.path(number, "")).unwrap();
        let inode = file.metadata().unwrap().ino();
        let content = fs::read(self.path(number, "")).unwrap();
        let mut extra = b"th\x08\0".to_vec();
        extra.extend(inode.to_le_bytes());
        let builder = flate2::GzBuilder::new().extra(extra).filename("stdout");
        let mut encoder = builder.write(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&content).unwrap();
        let zipped = encoder.finish().unwrap();
        assert_eq!(gzip::source(&zipped), Some(inode));
        self.made = Some((inode, zipped, get_mark(&file)));
        self.backlog.begun();
    }

    /// Returns true if both files are left.
    fn finish(&mut self, done: bool, half: bool) {
        let Some((inode, zipped, mark)) = self.made.take() else { return };
        let Some(number) = self.backlog.ended(done) else { return };
        let plain = self.path(number, "");
        assert_eq!(fs::metadata(&plain).unwrap().ino(), inode, "the number is that of its file");
        let temporary = self.dir.join("stdout.gz.tmp");
        fs::write(&temporary, zipped).unwrap();
        set_mark(&File::open(&temporary).unwrap(), mark);
        fs::rename(&temporary, self.path(number, ".gz")).unwrap();
        if !half {
            fs::remove_file(plain).unwrap();
        }
    }

    fn follow(&self) -> Follower {
        Follower::open(open(&self.dir), Output::Stdout).unwrap()
    }
}

fn open(dir: &Path) -> std::os::fd::OwnedFd {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
    rustix::fs::open(dir, flags, rustix::fs::Mode::empty()).unwrap()
}

/// An empty directory of this process, in memory.
fn directory() -> PathBuf {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    let place = PLACE.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        base.join(format!("thermos-fuzz-logs-{}", std::process::id()))
    });
    let _ = fs::remove_dir_all(place);
    fs::create_dir_all(place).unwrap();
    place.clone()
}

fn followed(u: &mut Unstructured<'_>) -> Result<()> {
    let mut log = Log::new(directory(), u.int_in_range(1..=6)?);
    let mut follower = log.follow();
    // Where the follower is among all that was written, and what it was told was dropped.
    let (mut at, mut dropped) = (0, 0);
    let mut buffer = [0; 61];
    let mut read =
        |log: &Log, follower: &mut Follower, at: &mut usize, dropped: &mut u64, n: u32| {
            for _ in 0..n {
                match follower.read(&mut buffer).unwrap() {
                    Found::Bytes(n) => {
                        assert_eq!(&buffer[..n], &log.all[*at..*at + n]);
                        *at += n;
                    }
                    Found::Missed(missed) => *at += missed.expect("files have marks") as usize,
                    Found::Dropped(n) => *dropped += n,
                    Found::End => return,
                }
            }
        };
    while !u.is_empty() {
        match Act::next(u)? {
            Act::Write(n) => log.write(n),
            Act::Drop(n) => log.mark.dropped += u64::from(n),
            Act::Rotate => log.rotate(),
            Act::Begin => log.begin(),
            Act::Finish => log.finish(true, false),
            Act::FinishHalf => log.finish(true, true),
            Act::Fail => log.finish(false, false),
            Act::Read(n) => read(&log, &mut follower, &mut at, &mut dropped, u32::from(n)),
            Act::Anew(lines) => {
                // Somebody else comes, and sees the end of what is kept.
                let mut other = log.follow();
                other.rewind(lines.into()).unwrap();
                let mut seen = Vec::new();
                let mut chunk = [0; 200];
                loop {
                    match other.read(&mut chunk).unwrap() {
                        Found::Bytes(n) => seen.extend_from_slice(&chunk[..n]),
                        Found::Dropped(_) => {}
                        Found::Missed(_) => panic!("nothing is missing in between"),
                        Found::End => break,
                    }
                }
                assert!(log.all.ends_with(&seen), "what was read is not the end of what is there");
                let lines_seen = seen.iter().filter(|byte| **byte == b'\n').count();
                assert!(lines_seen <= usize::from(lines));
            }
        }
    }
    read(&log, &mut follower, &mut at, &mut dropped, u32::MAX);
    assert_eq!(at, log.all.len(), "what was read and what was missed add up");
    assert!(dropped <= log.mark.dropped);
    Ok(())
}

/// Any bytes as a mark, and as files, compressed or not.
fn foreign(data: &[u8]) {
    let mark = Mark::decode(data);
    if let Some(mark) = mark {
        let mut buffer = [0; Mark::ROOM];
        let n = mark.encode(&mut buffer);
        assert_eq!(Mark::decode(&buffer[..n]), Some(mark));
    }
    let _ = gzip::source(data);
    let dir = directory();
    fs::write(dir.join("stdout"), "last\n").unwrap();
    fs::write(dir.join("stdout.1.gz"), data).unwrap();
    fs::write(dir.join("stdout.2"), data).unwrap();
    let (head, tail) = data.split_at(data.len() / 2);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(tail).unwrap();
    fs::write(dir.join("stdout.3.gz"), encoder.finish().unwrap()).unwrap();
    for (name, text) in [("stdout.1.gz", head), ("stdout.2", tail)] {
        let file = File::open(dir.join(name)).unwrap();
        let text = &text[..text.len().min(48)];
        let _ = rustix::fs::fsetxattr(&file, MARK, text, rustix::fs::XattrFlags::empty());
    }
    let mut follower = Follower::open(open(&dir), Output::Stdout).unwrap();
    follower.rewind(usize::MAX).unwrap();
    let mut buffer = [0; 4096];
    let mut rounds = 0;
    while follower.read(&mut buffer).unwrap() != Found::End {
        rounds += 1;
        assert!(rounds < 100_000, "it does not end");
    }
}
