//! Recorded connections: what was said over them, and when.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Who said it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Direction {
    Out,
    In,
    Closed,
}

pub(crate) struct Chunk {
    pub(crate) at: Duration,
    pub(crate) conn: String,
    pub(crate) direction: Direction,
    pub(crate) bytes: Vec<u8>,
}

/// The names of the recordings in this directory, in order.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .filter_map(|e| Some(e.unwrap().file_name().to_str()?.strip_suffix(".bin")?.to_owned()))
        .collect();
    names.sort();
    names
}

/// One of them.
pub(crate) fn read(directory: &Path, name: &str) -> Vec<Chunk> {
    chunks(&fs::read(directory.join(format!("{name}.bin"))).unwrap())
}

fn chunks(mut bytes: &[u8]) -> Vec<Chunk> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|b| *b == b'\n').unwrap();
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let fields: HashMap<_, _> =
            head.split(' ').skip(1).map(|f| f.split_once('=').unwrap()).collect();
        let length: usize = fields["len"].parse().unwrap();
        all.push(Chunk {
            at: Duration::from_secs_f64(fields["t"].parse().unwrap()),
            conn: fields["conn"].to_owned(),
            direction: match fields["dir"] {
                "out" => Direction::Out,
                "in" => Direction::In,
                _ => Direction::Closed,
            },
            bytes: bytes[end + 1..end + 1 + length].to_vec(),
        });
        bytes = &bytes[end + 1 + length + 1..];
    }
    all
}

/// One HTTP message, taken apart as its bytes come.
#[derive(Default)]
pub(crate) struct Message {
    raw: Vec<u8>,
    pub(crate) head: Option<(String, HashMap<String, String>)>,
    pub(crate) ended: bool,
}

impl Message {
    /// The new part of the body.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.raw.extend_from_slice(bytes);
        if self.head.is_none() {
            let Some(end) = self.raw.windows(4).position(|w| w == b"\r\n\r\n") else {
                return Vec::new();
            };
            let head = String::from_utf8(self.raw.drain(..end + 4).collect()).unwrap();
            let mut lines = head.trim_end().split("\r\n");
            let first = lines.next().unwrap().to_owned();
            let headers = lines.map(|l| l.split_once(": ").unwrap());
            let headers = headers.map(|(k, v)| (k.to_ascii_lowercase(), v.to_owned()));
            self.head = Some((first, headers.collect()));
        }
        let (_, headers) = self.head.as_ref().unwrap();
        let mut body = Vec::new();
        if headers.contains_key("transfer-encoding") {
            while let Some(end) = self.raw.windows(2).position(|w| w == b"\r\n") {
                let length = std::str::from_utf8(&self.raw[..end]).unwrap();
                let length = usize::from_str_radix(length, 16).unwrap();
                if self.raw.len() < end + 2 + length + 2 {
                    break;
                }
                body.extend_from_slice(&self.raw[end + 2..end + 2 + length]);
                self.raw.drain(..end + 2 + length + 2);
                self.ended |= length == 0;
            }
        } else {
            body.append(&mut self.raw);
            self.ended = true;
        }
        body
    }

    pub(crate) fn first(&self) -> &str {
        &self.head.as_ref().unwrap().0
    }

    pub(crate) fn status(&self) -> u16 {
        self.first().split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.as_ref().unwrap().1.get(name).map(String::as_str)
    }
}
