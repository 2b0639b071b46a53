//! What agents offer, in the order in which it is given away.
//!
//! Source of the behaviour: the scheduler's offer manager and its tests. The shape is our own: the
//! held offers are one ordered list, cut into blocks of a few dozen. A block knows the most that any
//! of its offers has of each resource, so that a search passes over blocks that cannot serve. What
//! has been found out for a group of equal tasks is kept in its [`Sight`]: everything up to a
//! cursor was looked at, and of that only what may still fit is kept. So an offer is compared with a
//! group once, and what a placement costs does not depend on how many offers there are.

use std::collections::{BTreeSet, VecDeque};
use std::hint::black_box;
use std::ops::Bound::{Excluded, Unbounded};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use hashbrown::HashTable;

use super::filter::{Place, is_dedicated};
use super::name::{Agent, Millis, Text, hash_of};
use super::resources::{Bag, Kind};
use super::settings::{OfferOrder, Settings};
use super::task::{Attributes, Host, Mode};

/// An offer as Mesos makes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// Its id.
    pub id: Text,
    /// Who offers.
    pub agent: Arc<Agent>,
    /// Attributes of the host.
    pub attributes: Attributes,
    /// What is offered.
    pub supplies: Box<[Supply]>,
    /// When Mesos takes the host away.
    pub unavailable: Option<Millis>,
}

/// A part of an offer: so much of something, or a range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supply {
    /// What it is.
    pub kind: Kind,
    /// May Mesos take it back?
    pub revocable: bool,
    /// The first port; 0 for everything else.
    pub first: i32,
    /// How much, in thousandths; of ports, a thousand for each.
    pub milli: i64,
}

impl Supply {
    /// An amount of something other than ports, in thousandths.
    pub fn scalar(kind: Kind, milli: i64) -> Supply {
        Supply { kind, revocable: false, first: 0, milli }
    }

    /// A range of ports; nothing if it is empty.
    pub fn ports(range: RangeInclusive<i32>) -> Supply {
        let (first, last) = (*range.start(), *range.end());
        let count = (i64::from(last) - i64::from(first) + 1).max(0);
        Supply { kind: Kind::Ports, revocable: false, first, milli: count * 1000 }
    }

    /// Its ports, in order; none unless it is ports.
    pub fn range(&self) -> Range<i32> {
        let count = if self.kind == Kind::Ports { self.milli / 1000 } else { 0 };
        self.first..self.first.saturating_add(count as i32)
    }
}

/// Place of an offer in the order: maintenance, unavailability, up to five criteria, and the number
/// of the offer, so that no two are equal.
pub(super) type Key = [i64; 8];

/// An offer that is held. What placing a task needs is in front, in three lines of cache.
#[derive(Debug)]
#[repr(C)]
pub struct Held {
    /// Hashes of the ids of the offer and of its agent.
    hashes: (u64, u64),
    /// Id of the offer.
    pub id: Text,
    /// Who offers.
    pub agent: Arc<Agent>,
    /// Its host, with its maintenance.
    pub host: Arc<Host>,
    face: Face,
    /// What is offered.
    pub supplies: Box<[Supply]>,
    /// When it is given back.
    pub expires: Option<Millis>,
    number: u64,
    /// Chance, for orders by chance.
    lot: i64,
    key: Key,
}

/// What a search compares with what a task needs.
#[derive(Clone, Copy, Debug)]
pub struct Face {
    /// What is free for tasks whose resources may not be taken back.
    firm: Bag,
    /// What is free for tasks whose resources may be taken back.
    revocable: Bag,
    /// When Mesos takes the host away.
    unavailable: Option<Millis>,
    /// Maintenance of the host.
    mode: Mode,
    /// Is the host for those only who ask for it?
    dedicated: bool,
    /// Has it CPUs and memory at all?
    usable: bool,
}

impl Held {
    /// What it is for a task, before any task got something.
    pub fn place(&self, revocable: bool) -> Place<'_> {
        self.place_at(&self.face, revocable)
    }

    /// The same, for who has its face at hand.
    pub fn place_at<'a>(&'a self, face: &'a Face, revocable: bool) -> Place<'a> {
        let free = if revocable { &face.revocable } else { &face.firm };
        let Face { unavailable, mode, dedicated, .. } = *face;
        Place { free, attributes: &self.host.attributes, dedicated, mode, unavailable }
    }

    /// Reads each part of memory that is needed if it is taken.
    fn touch(&self) -> u64 {
        let Held { id, agent, supplies, .. } = self;
        let own = self.hashes.0 ^ self.face.firm.get(Kind::Cpu) as u64;
        let texts = id.as_bytes().first().copied().unwrap_or_default();
        let supplies = supplies.first().map_or(0, |supply| supply.milli as u64);
        let shared = Arc::strong_count(&self.host) as u64;
        own ^ u64::from(agent.host_hash()) ^ u64::from(texts) ^ supplies ^ shared
    }

    /// What it is for a task while this is free.
    pub fn place_of<'a>(&'a self, free: &'a Bag) -> Place<'a> {
        Place { free, ..self.place(false) }
    }

    /// All of it, before any task got something.
    pub fn share(&self) -> Share {
        Share { firm: self.face.firm, revocable: self.face.revocable, ports: 0 }
    }

    /// Its place in the order.
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// The first ports of the offer but for the first `used`, as many as there are names; `None` if
    /// there are too few.
    pub fn choose_ports(&self, names: &[Text], used: usize) -> Option<Box<[(Text, i32)]>> {
        let supplies = self.supplies.iter().filter(|supply| supply.kind == Kind::Ports);
        let mut ports = supplies.flat_map(Supply::range).skip(used);
        let mut chosen = Vec::with_capacity(names.len());
        for name in names {
            chosen.push((name.clone(), ports.next()?));
        }
        Some(chosen.into())
    }
}

/// What is left of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    firm: Bag,
    revocable: Bag,
    /// How many of its first ports are in use.
    pub ports: usize,
}

impl Share {
    /// What is left for a task.
    pub fn free(&self, revocable: bool) -> &Bag {
        if revocable { &self.revocable } else { &self.firm }
    }

    /// A task takes this much and so many ports. Of the kinds that can be revocable it takes what
    /// its tier says; all others are the same for every tier.
    pub fn take(&mut self, needs: &Bag, ports: usize, revocable: bool, settings: &Settings) {
        for kind in Kind::ALL {
            let amount = needs.get(kind).saturating_neg();
            let own = capable(kind, settings);
            if !own || !revocable {
                self.firm.put(kind, amount);
            }
            if !own || revocable {
                self.revocable.put(kind, amount);
            }
        }
        self.ports += ports;
    }
}

/// Can Mesos take this kind back from tasks of a revocable tier?
fn capable(kind: Kind, settings: &Settings) -> bool {
    match kind {
        Kind::Cpu => settings.revocable_cpus,
        Kind::Ram => settings.revocable_ram,
        Kind::Disk | Kind::Ports | Kind::Gpu => false,
    }
}

/// What became of an offer.
#[derive(Debug, PartialEq, Eq)]
pub enum Added {
    /// It is held, until then.
    Held(Option<Millis>),
    /// Its agent had one already. Neither is held any more: this other one must be given back, too,
    /// so that Mesos makes one of them.
    Second(Text),
}

/// How an offer suits a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suits {
    /// It does.
    Now,
    /// Not now, but perhaps later.
    Later,
    /// Never.
    Never,
}

/// What is known of the offers for one group of equal tasks.
#[derive(Debug, Default)]
pub struct Sight {
    /// All held offers up to here were looked at, but for newer ones.
    cursor: Option<Key>,
    /// Offers from this number on were not looked at, wherever they are.
    seen: u64,
    /// The connection that the offers came by.
    epoch: u64,
    /// Of those that were looked at, the ones that may suit.
    open: BTreeSet<Key>,
    /// When everything is to be looked at anew.
    forget_at: Option<Millis>,
    /// The state of the world in which none of `open` suited.
    barren: Option<World>,
}

/// Stands for everything besides the offers that can make an offer suit: equal worlds, equal answers.
pub type World = (u64, u64);

/// The held offers.
#[derive(Debug, Default)]
pub struct Offers {
    blocks: VecDeque<Block>,
    by_id: Table,
    by_agent: Table,
    /// A few that are not held any more, but still in the two tables.
    gone: Vec<Arc<Held>>,
    /// In order of their numbers: what a group has not seen yet. Some may be gone.
    news: Vec<(u64, Key)>,
    /// Number of the next offer, or of the next time that one is put elsewhere.
    next: u64,
    /// How often all offers were dropped.
    epoch: u64,
    /// The block that a search found something in last: most that comes next is about it, too.
    last: usize,
}

type Table = HashTable<Arc<Held>>;

/// A stretch of the order, never empty.
#[derive(Debug)]
struct Block {
    /// No offer of this block is before this, and none of those before this block is after it.
    least: Key,
    /// Mostly taken from the front.
    entries: VecDeque<Entry>,
    /// The most that any offer has of each kind, for whichever tasks; or more, for a while, after
    /// offers were taken.
    top: Bag,
    /// How many were taken since `top` was exact.
    taken: usize,
    /// How many of the first ones were approached.
    near: usize,
}

/// An offer in the order, with what a search looks at: so it goes through memory in one direction,
/// and elsewhere only for what it finds.
#[derive(Debug)]
struct Entry {
    key: Key,
    face: Face,
    held: Arc<Held>,
}

/// How many offers are approached, or cleaned up after, together.
const TOGETHER: usize = 32;

/// Blocks are split when they have more entries than this.
const BLOCK: usize = 128;

impl Offers {
    /// Holds an offer, unless its agent has one already. `lot` is chance, for orders by chance.
    pub fn add(
        &mut self,
        offer: Offer,
        host: Arc<Host>,
        settings: &Settings,
        expires: Option<Millis>,
        lot: u64,
    ) -> Added {
        if let Some(other) = self.of_agent(&offer.agent.id).cloned() {
            self.take(&other);
            return Added::Second(other.id.clone());
        }
        let (mut firm, mut revocable) = (Bag::EMPTY, Bag::EMPTY);
        let (mut cpu, mut ram) = (0, 0);
        for supply in &offer.supplies {
            if !supply.revocable {
                firm.put(supply.kind, supply.milli);
            }
            if supply.revocable || !capable(supply.kind, settings) {
                revocable.put(supply.kind, supply.milli);
            }
            match supply.kind {
                Kind::Cpu => cpu += supply.milli,
                Kind::Ram => ram += supply.milli,
                Kind::Disk | Kind::Ports | Kind::Gpu => {}
            }
        }
        // One bit less, so that the lot is no negative number.
        let lot = (lot >> 1) as i64;
        let face = Face {
            firm,
            revocable,
            unavailable: offer.unavailable,
            mode: host.mode,
            dedicated: is_dedicated(&host.attributes),
            usable: cpu > 0 && ram > 0,
        };
        let mut held = Held {
            hashes: (hash_of(&offer.id), hash_of(&offer.agent.id)),
            id: offer.id,
            agent: offer.agent,
            host,
            face,
            supplies: offer.supplies,
            expires,
            number: self.next,
            lot,
            key: Key::default(),
        };
        held.key = key(&held, &settings.offer_order);
        self.insert(Arc::new(held));
        Added::Held(expires)
    }

    /// Stops holding any offer.
    pub fn clear(&mut self) {
        let Offers { next, epoch, .. } = *self;
        *self = Offers { next, epoch: epoch + 1, ..Offers::default() };
    }

    /// A host changed: its offer goes where it belongs now, and counts as new.
    pub fn change_host(&mut self, host: &Arc<Host>, settings: &Settings) {
        let Some(old) = self.of_agent(&host.agent).cloned() else { return };
        self.take(&old);
        let mut held = Held {
            id: old.id.clone(),
            agent: old.agent.clone(),
            host: host.clone(),
            supplies: old.supplies.clone(),
            expires: old.expires,
            face: Face { mode: host.mode, dedicated: is_dedicated(&host.attributes), ..old.face },
            number: self.next,
            lot: old.lot,
            key: old.key,
            hashes: old.hashes,
        };
        held.key = self::key(&held, &settings.offer_order);
        self.insert(Arc::new(held));
    }

    /// The offer of this id.
    pub fn get(&self, id: &str) -> Option<&Arc<Held>> {
        self.by_id.find(hash_of(id), |held| *held.id == *id && !self.is_gone(held))
    }

    /// The offer of an agent.
    pub fn of_agent(&self, agent: &str) -> Option<&Arc<Held>> {
        let same = |held: &Arc<Held>| *held.agent.id == *agent && !self.is_gone(held);
        self.by_agent.find(hash_of(agent), same)
    }

    /// All offers, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Held>> {
        self.blocks.iter().flat_map(|block| block.entries.iter().map(|entry| &entry.held))
    }

    /// All offers that tasks may be placed on, in order.
    pub fn usable(&self) -> impl Iterator<Item = &Arc<Held>> {
        self.iter().filter(|held| held.face.usable)
    }

    /// How many are held.
    pub fn len(&self) -> usize {
        self.by_id.len() - self.gone.len()
    }

    /// Is none held?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first offer, in order, that suits a group.
    ///
    /// `judge` is asked about offers that have not been looked at, or that did not suit at another
    /// time. What it calls [`Suits::Never`] is not looked at again until the sight is forgotten,
    /// `hold` after the first such verdict. `near` is told of offers that are likely to be next, to
    /// read the memory that placing a task there needs besides.
    pub fn find(
        &mut self,
        sight: &mut Sight,
        needs: &Bag,
        world: World,
        (now, hold): (Millis, Option<Millis>),
        mut judge: impl FnMut(&Held, &Face) -> Suits,
        near: impl Fn(&Held) -> u32,
    ) -> Option<&Arc<Held>> {
        if sight.forget_at.is_some_and(|at| at <= now) || sight.epoch != self.epoch {
            *sight = Sight { epoch: self.epoch, ..Sight::default() };
        }
        self.notice(sight);
        if sight.barren != Some(world) {
            let mut last = None;
            while let Some(key) = following(&sight.open, last) {
                last = Some(key);
                match self.at(&key).map(|held| judge(held, &held.face)) {
                    Some(Suits::Now) => return self.at(&key),
                    Some(Suits::Later) => {}
                    Some(Suits::Never) => {
                        sight.forget(now, hold);
                        sight.open.remove(&key);
                    }
                    None => _ = sight.open.remove(&key),
                }
            }
        }
        sight.barren = Some(world);
        let start = sight.cursor.map_or(0, |cursor| self.block_of(&cursor));
        for (number, block) in self.blocks.iter_mut().enumerate().skip(start) {
            if !block.top.covers(needs) {
                sight.cursor = sight.cursor.max(block.entries.back().map(|last| last.key));
                continue;
            }
            let seen = |entry: &Entry| sight.cursor.is_some_and(|cursor| entry.key <= cursor);
            let first = block.entries.partition_point(seen);
            block.approach(first, &self.by_id, &self.by_agent, &near);
            for Entry { key, face, held } in block.entries.iter().skip(first) {
                match if face.usable { judge(held, face) } else { Suits::Never } {
                    // The cursor stays before it: if nobody takes it, it is found again.
                    Suits::Now => {
                        self.last = number;
                        return Some(held);
                    }
                    Suits::Later => _ = sight.open.insert(*key),
                    Suits::Never => sight.forget(now, hold),
                }
                sight.cursor = Some(*key);
            }
        }
        None
    }

    /// Puts what came since the last look, before the cursor, among what may suit. If that is much,
    /// a search from the beginning is quicker, since it passes over whole blocks.
    fn notice(&self, sight: &mut Sight) {
        if sight.seen == self.next {
            return;
        }
        let first = self.news.partition_point(|(number, _)| *number < sight.seen);
        let news = self.news.get(first..).unwrap_or_default();
        if news.len() > BLOCK + self.len() / 4 {
            *sight = Sight { epoch: self.epoch, ..Sight::default() };
        }
        let Some(cursor) = sight.cursor else {
            sight.seen = self.next;
            return;
        };
        for (_, key) in news {
            if *key <= cursor && self.at(key).is_some_and(|held| held.face.usable) {
                sight.open.insert(*key);
                sight.barren = None;
            }
        }
        sight.seen = self.next;
    }

    fn at(&self, key: &Key) -> Option<&Arc<Held>> {
        let block = self.blocks.get(self.block_of(key))?;
        block.entries.get(block.place(key)?).map(|entry| &entry.held)
    }

    /// The block that has the key, or would have it.
    fn block_of(&self, key: &Key) -> usize {
        let begins = |number: usize| self.blocks.get(number).is_some_and(|b| b.least <= *key);
        if begins(self.last) && !begins(self.last + 1) {
            return self.last;
        }
        self.blocks.partition_point(|block| block.least <= *key).saturating_sub(1)
    }

    fn insert(&mut self, held: Arc<Held>) {
        let key = held.key;
        self.next += 1;
        self.by_id.insert_unique(held.hashes.0, held.clone(), |held| held.hashes.0);
        self.by_agent.insert_unique(held.hashes.1, held.clone(), |held| held.hashes.1);
        self.note_news(held.number, key);
        let entry = Entry { key, face: held.face, held };
        let place = self.block_of(&key);
        let Some(block) = self.blocks.get_mut(place) else {
            self.blocks.push_back(Block::new([entry].into()));
            return;
        };
        block.least = block.least.min(key);
        block.top = block.top.max(&entry.face.firm).max(&entry.face.revocable);
        let at = block.entries.partition_point(|other| other.key < key);
        block.entries.insert(at, entry);
        block.near += usize::from(at < block.near);
        if block.entries.len() > BLOCK {
            let second = block.entries.split_off(BLOCK / 2);
            block.near = block.near.min(BLOCK / 2);
            block.refresh();
            self.blocks.insert(place + 1, Block::new(second));
        }
    }

    fn note_news(&mut self, number: u64, key: Key) {
        // Half of it gone: not worth keeping.
        if self.news.len() > 2 * self.by_id.len() + BLOCK {
            let mut news = std::mem::take(&mut self.news);
            news.retain(|(_, key)| self.at(key).is_some());
            self.news = news;
        }
        self.news.push((number, key));
    }

    /// Stops holding an offer.
    pub fn take(&mut self, held: &Arc<Held>) {
        let in_front = |block: &Block| {
            block.entries.front().is_some_and(|entry| Arc::ptr_eq(&entry.held, held))
        };
        let (place, at) = if self.blocks.get(self.last).is_some_and(in_front) {
            (self.last, 0)
        } else {
            let place = self.block_of(&held.key);
            let Some(at) = self.blocks.get(place).and_then(|b| b.place(&held.key)) else { return };
            (place, at)
        };
        let Some(block) = self.blocks.get_mut(place) else { return };
        block.entries.remove(at);
        block.near -= usize::from(at < block.near);
        block.taken += 1;
        if block.entries.is_empty() {
            self.blocks.remove(place);
        } else if block.taken * 4 >= block.entries.len() {
            // Not each time: to look at all of them costs more than a search that finds nothing.
            block.refresh();
        }
        self.gone.push(held.clone());
        if self.gone.len() >= TOGETHER {
            self.settle();
        }
    }

    /// Removes what is gone from the tables. Not one at a time, for the reason that
    /// [`Block::approach`] gives.
    fn settle(&mut self) {
        let gone = std::mem::take(&mut self.gone);
        for held in &gone {
            remove(&mut self.by_id, held.hashes.0, held);
        }
        for held in &gone {
            remove(&mut self.by_agent, held.hashes.1, held);
        }
    }

    fn is_gone(&self, held: &Arc<Held>) -> bool {
        self.gone.iter().any(|gone| Arc::ptr_eq(gone, held))
    }
}

fn remove(table: &mut Table, hash: u64, held: &Arc<Held>) {
    if let Ok(entry) = table.find_entry(hash, |other| Arc::ptr_eq(other, held)) {
        entry.remove();
    }
}

impl Block {
    fn new(entries: VecDeque<Entry>) -> Block {
        let least = entries.front().map(|entry| entry.key).unwrap_or_default();
        let mut block = Block { least, entries, top: Bag::EMPTY, taken: 0, near: 0 };
        block.refresh();
        block
    }

    fn refresh(&mut self) {
        let faces = self.entries.iter().map(|entry| &entry.face).filter(|face| face.usable);
        let most = faces.fold(Bag::EMPTY, |top, face| top.max(&face.firm).max(&face.revocable));
        (self.top, self.taken) = (most, 0);
    }

    /// Reads of the next offers whatever placing a task on them reads. They lie anywhere in memory,
    /// and nothing has touched them for long: one after the other, each would keep the processor
    /// waiting several times. It waits for those of many offers together as for those of one, if they
    /// do not depend on one another.
    fn approach(
        &mut self,
        first: usize,
        by_id: &Table,
        by_agent: &Table,
        near: impl Fn(&Held) -> u32,
    ) {
        if first < self.near {
            return;
        }
        let next = self.entries.iter().skip(first).take(TOGETHER);
        let mut read = 0;
        for Entry { held, .. } in next.clone() {
            read ^= held.touch();
        }
        for Entry { held, .. } in next {
            read ^= u64::from(near(held));
            for (table, hash) in [(by_id, held.hashes.0), (by_agent, held.hashes.1)] {
                read ^= u64::from(table.find(hash, |other| Arc::ptr_eq(other, held)).is_some());
            }
        }
        black_box(read);
        self.near = first + TOGETHER;
    }

    /// Where the offer of this key is.
    fn place(&self, key: &Key) -> Option<usize> {
        self.entries.binary_search_by(|entry| entry.key.cmp(key)).ok()
    }
}

impl Sight {
    fn forget(&mut self, now: Millis, hold: Option<Millis>) {
        if self.forget_at.is_none() {
            self.forget_at = hold.map(|hold| now + hold);
        }
    }
}

fn following(keys: &BTreeSet<Key>, last: Option<Key>) -> Option<Key> {
    match last {
        None => keys.first().copied(),
        Some(last) => keys.range((Excluded(last), Unbounded)).next().copied(),
    }
}

/// Hosts without maintenance come first; then those that Mesos takes away latest; then the
/// configured order.
fn key(held: &Held, order: &[OfferOrder]) -> Key {
    let mut key = Key::default();
    key[0] = held.host.mode as i64;
    key[1] = held.face.unavailable.map_or(i64::MIN, i64::saturating_neg);
    for (place, criterion) in key[2..7].iter_mut().zip(order) {
        *place = match criterion {
            OfferOrder::Cpu => held.face.firm.get(Kind::Cpu),
            OfferOrder::Memory => held.face.firm.get(Kind::Ram),
            OfferOrder::Disk => held.face.firm.get(Kind::Disk),
            OfferOrder::RevocableCpu => match revocable_cpu(held) {
                0 => i64::MAX,
                some => some,
            },
            OfferOrder::Random => held.lot,
        };
    }
    key[7] = held.number as i64;
    key
}

fn revocable_cpu(held: &Held) -> i64 {
    let supplies = held.supplies.iter();
    supplies.filter(|s| s.revocable && s.kind == Kind::Cpu).map(|s| s.milli).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Offer {
            agent: u8,
            cpus: i64,
        },
        Take(u8),
        Maintain(u8, bool),
        /// A search of one of three groups, in a world of its own; what is found is taken or not.
        Find {
            group: usize,
            world: u64,
            take: bool,
        },
        Clear,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            10 => (any::<u8>(), 0..8_i64).prop_map(|(agent, cpus)| Step::Offer { agent, cpus }),
            2 => any::<u8>().prop_map(Step::Take),
            2 => any::<(u8, bool)>().prop_map(|(agent, drain)| Step::Maintain(agent, drain)),
            6 => (0..3_usize, 0..3_u64, any::<bool>())
                .prop_map(|(group, world, take)| Step::Find { group, world, take }),
        ];
        let rare = prop_oneof![60 => step, 1 => Just(Step::Clear)];
        prop::collection::vec(rare, 0..600)
    }

    fn host(agent: u8, mode: Mode) -> Arc<Host> {
        let name = format!("h{agent}");
        Arc::new(Host {
            name: name.into(),
            agent: format!("{agent}").into(),
            attributes: Attributes::new(),
            mode,
        })
    }

    /// Whether a group can use an offer: by what is free, by the host, and by the world.
    fn judge(group: usize, world: u64, held: &Held) -> Suits {
        let cpus = held.face.firm.get(Kind::Cpu) / 1000;
        let agent: u64 = held.agent.id.parse().unwrap();
        if cpus < needs(group) || held.host.mode >= Mode::Draining || agent % 5 == group as u64 {
            Suits::Never
        } else if (agent + world).is_multiple_of(3) {
            Suits::Later
        } else {
            Suits::Now
        }
    }

    fn needs(group: usize) -> i64 {
        [1, 4, 7][group]
    }

    proptest! {
        /// A search with memory finds what a search without finds.
        #[test]
        fn the_first_that_suits(
            steps in steps(),
            order in prop::sample::select(vec![OfferOrder::Cpu, OfferOrder::Random]),
        ) {
            let settings = Settings { offer_order: vec![order], ..Settings::default() };
            let mut offers = Offers::default();
            let mut sights = [Sight::default(), Sight::default(), Sight::default()];
            let mut lots = 1_u64;
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Offer { agent, cpus } => {
                        lots = lots.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let offer = Offer {
                            id: format!("o{number}").into(),
                            agent: Arc::new(Agent::new(format!("{agent}"), format!("h{agent}"))),
                            attributes: Attributes::new(),
                            supplies: [
                                Supply::scalar(Kind::Cpu, cpus * 1000),
                                Supply::scalar(Kind::Ram, 1000),
                            ]
                            .into(),
                            unavailable: None,
                        };
                        offers.add(offer, host(agent, Mode::None), &settings, None, lots);
                    }
                    Step::Take(agent) => {
                        if let Some(held) = offers.of_agent(&agent.to_string()).cloned() {
                            offers.take(&held);
                        }
                    }
                    Step::Maintain(agent, drain) => {
                        let mode = if drain { Mode::Draining } else { Mode::None };
                        offers.change_host(&host(agent, mode), &settings);
                    }
                    Step::Find { group, world, take } => {
                        let bag = Bag::EMPTY.with(Kind::Cpu, needs(group));
                        let naive = offers
                            .usable()
                            .find(|held| judge(group, world, held) == Suits::Now)
                            .map(|held| held.id.clone());
                        let found = offers
                            .find(&mut sights[group], &bag, (world, 0), (0, None), |held, _| {
                                judge(group, world, held)
                            }, |_| 0)
                            .map(|held| held.id.clone());
                        prop_assert_eq!(&found, &naive);
                        if take && let Some(held) = found.and_then(|id| offers.get(&id).cloned()) {
                            offers.take(&held);
                        }
                    }
                    Step::Clear => offers.clear(),
                }
                let sizes: usize = offers.blocks.iter().map(|block| block.entries.len()).sum();
                prop_assert_eq!(sizes, offers.len());
                prop_assert!(offers.iter().is_sorted_by(|a, b| a.key < b.key));
            }
        }
    }
}
