//! The state as the log keeps it.

use std::error::Error;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use replicated_log::StateMachine;

use crate::core::convert::Pool;
use crate::core::op::Transaction;
use crate::core::state::State;

/// The committed state, and where its configurations and texts are interned.
///
/// Rows can only be used together if they come from one pool. So whoever leads takes the pool along
/// with the state; from then on states are adopted, never read, unless to be compared.
#[derive(Debug)]
pub struct Store {
    state: State,
    pool: SharedPool,
    /// Where what is only read to be compared is interned.
    verifying: Option<Pool>,
}

/// The pool, until somebody leads.
#[derive(Clone, Debug)]
pub struct SharedPool(Arc<Mutex<Option<Pool>>>);

impl Default for SharedPool {
    fn default() -> SharedPool {
        SharedPool(Arc::new(Mutex::new(Some(Pool::default()))))
    }
}

impl SharedPool {
    /// The pool, for whoever leads. `None`: it was taken before.
    pub fn take(&self) -> Option<Pool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Store {
    /// An empty state, which is what every log begins with.
    pub fn new(pool: SharedPool) -> Store {
        Store { state: State::default(), pool, verifying: None }
    }

    /// The same for a log that compares each state that is adopted with what it reads
    /// ([`replicated_log::Options::verify`]).
    pub fn verifying(pool: SharedPool) -> Store {
        Store { verifying: Some(Pool::default()), ..Store::new(pool) }
    }

    fn with_pool<T>(&mut self, act: impl FnOnce(&mut State, &mut Pool) -> T) -> Option<T> {
        let mut pool = self.pool.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = pool.as_mut().or(self.verifying.as_mut());
        pool.map(|pool| act(&mut self.state, pool))
    }
}

const TAKEN: &str = "an entry came to be read after this replica began to lead";

impl StateMachine for Store {
    type Image = State;

    fn apply(&mut self, entry: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        let applied = self.with_pool(|state, pool| {
            Transaction::decode(entry, pool).map(|transaction| state.apply_all(&transaction))
        });
        Ok(applied.ok_or(TAKEN)??)
    }

    fn adopt(&mut self, image: State) {
        self.state = image;
    }

    fn image(&self) -> State {
        self.state.clone()
    }

    fn encode(image: &State, out: &mut dyn Write) -> io::Result<()> {
        image.write_snapshot(out)
    }

    /// By what they hold: which rows it is in depends on the pool, and so do the bytes.
    fn agree(one: &State, other: &State) -> io::Result<bool> {
        Ok(one == other)
    }

    fn restore(&mut self, input: &mut dyn Read) -> io::Result<()> {
        let restored = self.with_pool(|state, pool| {
            *state = State::read_snapshot(input, pool)?;
            Ok(())
        });
        restored.unwrap_or_else(|| Err(io::Error::other(TAKEN)))
    }
}
