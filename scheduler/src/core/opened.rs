//! Offers that got tasks in this tick, until the tick ends and they are accepted.
//!
//! Mesos takes an offer as a whole: what is not used comes back as another offer, seconds later. So
//! what is left of an offer is used in the same tick, and everything that it got leaves with one
//! ACCEPT. An offer that has nothing yet goes first, then the one that has the fewest tasks: so tasks
//! end up where cycle after cycle of one task per offer would have put them, as in the original.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::filter::Place;
use super::name::Text;
use super::offers::{Held, Key, Share};
use super::resources::{Bag, Kind};
use super::settings::Settings;
use super::task::Task;

/// Most tasks that one offer gets at once: the call that launches them carries all their
/// configurations.
pub const MOST_TASKS: usize = 128;

/// An offer that got tasks.
#[derive(Debug)]
pub struct Opened {
    /// The offer, as it was.
    pub held: Arc<Held>,
    /// The tasks that it got, with their ports, in order.
    pub tasks: Vec<Arc<Task>>,
    /// What is left of it.
    share: Share,
    /// Is it among the turns?
    in_turn: bool,
}

impl Opened {
    /// What is left, for a task whose resources may be taken back or not.
    pub fn place(&self, revocable: bool) -> Place<'_> {
        self.held.place_of(self.share.free(revocable))
    }

    /// Ports that are left, as many as there are names; `None` if there are too few.
    pub fn choose_ports(&self, names: &[Text]) -> Option<Box<[(Text, i32)]>> {
        self.held.choose_ports(names, self.share.ports)
    }

    fn may_take_more(&self) -> bool {
        let both = |bag: &Bag| bag.get(Kind::Cpu) > 0 && bag.get(Kind::Ram) > 0;
        self.tasks.len() < MOST_TASKS && [false, true].iter().any(|r| both(self.share.free(*r)))
    }
}

/// All offers that got tasks in this tick.
#[derive(Debug, Default)]
pub struct OpenedOffers {
    /// In the order in which they got their first task.
    all: Vec<Opened>,
    /// Those that may take more: how many tasks they have, their order, their place in `all`.
    turns: BTreeSet<(usize, Key, usize)>,
    /// Those that got tasks, and may not be among the turns: they are put there when somebody asks,
    /// which nobody does as long as there are other offers.
    changed: Vec<usize>,
}

impl OpenedOffers {
    /// An offer that is about to get its first task. Returns its number.
    pub fn open(&mut self, held: Arc<Held>) -> usize {
        let share = held.share();
        self.all.push(Opened { held, tasks: Vec::new(), share, in_turn: false });
        self.all.len() - 1
    }

    /// The offer of this number.
    pub fn get(&self, number: usize) -> Option<&Opened> {
        self.all.get(number)
    }

    /// The offer of an agent.
    pub fn of_agent(&self, agent: &str) -> Option<usize> {
        self.all.iter().position(|opened| *opened.held.agent.id == *agent)
    }

    /// The first offer, by the number of its tasks and then in order, that suits.
    pub fn find(&mut self, mut suits: impl FnMut(&Opened) -> bool) -> Option<usize> {
        for number in self.changed.drain(..) {
            let Some(opened) = self.all.get_mut(number) else { continue };
            if !opened.in_turn && opened.may_take_more() {
                opened.in_turn = true;
                self.turns.insert((opened.tasks.len(), *opened.held.key(), number));
            }
        }
        let numbers = self.turns.iter().map(|(_, _, number)| *number);
        numbers.into_iter().find(|number| self.all.get(*number).is_some_and(&mut suits))
    }

    /// Gives an offer a task, which needs this much, its executor included.
    pub fn give(
        &mut self,
        number: usize,
        task: Arc<Task>,
        needs: &Bag,
        revocable: bool,
        settings: &Settings,
    ) {
        let Some(opened) = self.all.get_mut(number) else { return };
        if std::mem::take(&mut opened.in_turn) {
            self.turns.remove(&(opened.tasks.len(), *opened.held.key(), number));
        }
        opened.share.take(needs, task.ports.len(), revocable, settings);
        opened.tasks.push(task);
        self.changed.push(number);
    }

    /// All of them, in the order in which they got their first task. None is open after that.
    pub fn take(&mut self) -> Vec<Opened> {
        self.turns.clear();
        self.changed.clear();
        std::mem::take(&mut self.all)
    }
}
