//! A small application: a map that is changed by entries "key = bytes".

// Not every test uses all of it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::error::Error;
use std::io::{self, Read, Write};

use bytes::Bytes;
use replicated_log::StateMachine;
use rpds::RedBlackTreeMapSync;

/// A map in which old states stay as they were.
pub type Map = RedBlackTreeMapSync<u64, Bytes>;

/// The application's state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct App {
    /// What was put.
    pub map: Map,
    /// How many entries changed it.
    pub count: u64,
}

/// An entry that puts `value` at `key`.
pub fn put(key: u64, value: &[u8]) -> Bytes {
    [&key.to_le_bytes(), value].concat().into()
}

/// Entry number `n`, from 1: what it is depends on the number alone.
pub fn entry(n: u64) -> Bytes {
    let length = usize::try_from(n % 57).unwrap();
    put(n % 101, &vec![n as u8; length])
}

impl App {
    /// The state after the first `n` of these entries.
    pub fn after(n: u64) -> App {
        let mut app = App::default();
        for n in 1..=n {
            app.apply(&entry(n)).unwrap();
        }
        app
    }
}

impl StateMachine for App {
    type Image = App;

    fn apply(&mut self, entry: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        let (key, value) = entry.split_first_chunk().ok_or("an entry without a key")?;
        self.map.insert_mut(u64::from_le_bytes(*key), Bytes::copy_from_slice(value));
        self.count += 1;
        Ok(())
    }

    fn adopt(&mut self, image: App) {
        *self = image;
    }

    fn image(&self) -> App {
        self.clone()
    }

    fn encode(image: &App, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&image.count.to_le_bytes())?;
        for (key, value) in &image.map {
            out.write_all(&key.to_le_bytes())?;
            out.write_all(&(value.len() as u64).to_le_bytes())?;
            out.write_all(value)?;
        }
        Ok(())
    }

    fn restore(&mut self, input: &mut dyn Read) -> io::Result<()> {
        *self = App::default();
        let mut number = [0; 8];
        input.read_exact(&mut number)?;
        self.count = u64::from_le_bytes(number);
        loop {
            if input.read(&mut number[..1])? == 0 {
                return Ok(());
            }
            input.read_exact(&mut number[1..])?;
            let key = u64::from_le_bytes(number);
            input.read_exact(&mut number)?;
            let mut value = vec![0; usize::try_from(u64::from_le_bytes(number)).unwrap()];
            input.read_exact(&mut value)?;
            self.map.insert_mut(key, value.into());
        }
    }
}
