//! What happens next, as a function of (state, event, now).
//!
//! The core is told what happened ([`Event`]) and answers with what must be done ([`Effects`]). It
//! works ahead: it decides by changes that the log has not confirmed. So each effect carries the
//! position of the log that it waits for, and the shell holds it back until that is durable. If
//! the log is lost, so are the effects, and nobody has seen what was decided.
//!
//! ```text
//! event → request, offers, status, timers   decide; ledger: apply, draft, note changes
//!       → follow                            groups, timers, spreads, listeners
//!       → flush                             transaction → log; effects after its position
//! ```
//!
//! Besides what is stored, the core keeps what a new one can do without: offers, groups, back-off,
//! reservations, timers. [`Core::new`] makes all of that from what is stored.

use std::sync::Arc;

use super::assigner::Round;
use super::config::ConfigNo;
use super::convert::Pool;
use super::dice::Dice;
use super::filter;
use super::groups::{Group, Groups, RateLimit};
use super::jobs::{Reply, Request};
use super::manager::{Change, Ledger};
use super::name::{Millis, TaskId, Text};
use super::offers::{Added, Held, Offer, Offers};
use super::op::{Op, Transaction};
use super::opened::OpenedOffers;
use super::query::Query;
use super::reconcile::Reconciliation;
use super::reschedule;
use super::reservations::Reservations;
use super::resources::Bag;
use super::settings::Settings;
use super::spread::Spreads;
use super::state::State;
use super::status::Status;
use super::task::{Host, Task};
use super::timers::{Due, Timers};
use super::watch::History;

/// Position in the log: how many transactions were appended since the state that the core began
/// with. 0 waits for nothing.
pub type Position = u64;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Mesos accepted the subscription, under this framework id.
    Registered(Text),
    /// The connection to Mesos is lost, and with it all offers.
    Disconnected,
    /// Mesos offers resources.
    Offers(Vec<Offer>),
    /// Mesos takes an offer back.
    Rescinded(Text),
    /// Mesos reports states of tasks, in order.
    Statuses(Vec<StatusUpdate>),
    /// A launch could not be sent.
    LaunchFailed {
        /// The task.
        task: TaskId,
        /// Because the offer was gone?
        offer_gone: bool,
    },
    /// A user asks for something; the number comes back with the reply.
    Request(u64, Request),
    /// The moment that [`Core::next_deadline`] named has come.
    Tick,
}

/// A state that Mesos reports.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusUpdate {
    /// The task.
    pub task: TaskId,
    /// Its state, by its number in Mesos.
    pub state: i32,
    /// Why, for people.
    pub message: Option<String>,
    /// Why, by its name in Mesos, such as `REASON_CONTAINER_LIMITATION_MEMORY`.
    pub reason: Option<String>,
    /// Who says so, by its name in Mesos, such as `SOURCE_AGENT`.
    pub source: Option<String>,
    /// What to acknowledge it with. Updates of the master need no acknowledgement.
    pub receipt: Option<Receipt>,
}

/// What an acknowledgement needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Id of the agent.
    pub agent: Text,
    /// Id of the update.
    pub uuid: Box<[u8]>,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Accept an offer with the launch of tasks.
    Launch {
        /// The offer.
        offer: Text,
        /// The tasks, at least one, each with its ports.
        tasks: Vec<Arc<Task>>,
        /// For how long Mesos should not offer the rest, in milliseconds.
        refuse: Millis,
    },
    /// Give offers back.
    Decline {
        /// The offers.
        offers: Vec<Text>,
        /// For how long Mesos should not offer them again, in milliseconds.
        refuse: Millis,
    },
    /// Have Mesos kill a task.
    Kill(TaskId),
    /// Tell Mesos that an update is stored.
    Acknowledge(TaskId, Receipt),
    /// Ask Mesos about these tasks, each with its agent; about all that it knows if there are none.
    Reconcile(Vec<(TaskId, Option<Text>)>),
    /// Answer a user.
    Reply(u64, Reply),
    /// Tell listeners.
    Changed(Change),
}

/// A transaction to be appended to the log.
#[derive(Clone, Debug)]
pub struct Append {
    /// The position that it gets.
    pub position: Position,
    /// What changed.
    pub transaction: Transaction,
    /// All that is stored, with these changes.
    pub state: State,
}

/// What is to be done, in order.
#[derive(Debug, Default)]
pub struct Effects {
    /// Transactions for the log.
    pub appends: Vec<Append>,
    /// Everything else, each with the position that must be durable before.
    pub held: Vec<(Position, Effect)>,
}

/// The core of the scheduler.
#[derive(Debug)]
pub struct Core {
    pub(super) ledger: Ledger,
    pub(super) timers: Timers,
    pub(super) offers: Offers,
    pub(super) opened: OpenedOffers,
    pub(super) groups: Groups,
    pub(super) spreads: Spreads,
    pub(super) reservations: Reservations,
    pub(super) history: History,
    pub(super) reconciliation: Reconciliation,
    limit: RateLimit,
    /// Has the rate limit made a group wait since the last round?
    blocked: bool,
    position: Position,
    staged: Vec<Effect>,
    /// Is anybody interested in changes?
    listening: bool,
}

impl Core {
    /// A core that begins to lead with this state. The seed must be secret and random outside of
    /// tests. The pool is the one that the state was read with. Flush what it does at once with the
    /// first event; a [`Event::Tick`] will do.
    pub fn new(state: State, pool: Pool, settings: Settings, seed: [u8; 32], now: Millis) -> Core {
        let limit = RateLimit::new(settings.max_rounds_per_second, now);
        let mut core = Core {
            ledger: Ledger::new(state, pool, settings, Dice::new(seed), now),
            timers: Timers::default(),
            offers: Offers::default(),
            opened: OpenedOffers::default(),
            groups: Groups::default(),
            spreads: Spreads::default(),
            reservations: Reservations::default(),
            history: History::default(),
            reconciliation: Reconciliation::default(),
            limit,
            blocked: false,
            position: 0,
            staged: Vec::new(),
            listening: true,
        };
        let mut tasks: Vec<Arc<Task>> = core.ledger.state.tasks().cloned().collect();
        tasks.sort_by_key(|task| task.last_change());
        let Ledger { state, stats, .. } = &mut core.ledger;
        state.hosts().for_each(|host| stats.host(host));
        for task in &tasks {
            core.count(task);
            if task.status == Status::Pending {
                core.wait_for_place(task, true);
            } else {
                core.watch(task, true);
            }
        }
        core.reconcile_later();
        core
    }

    /// Says whether changes are passed on to listeners. They are, unless this says otherwise.
    pub fn listen(&mut self, listening: bool) {
        self.listening = listening;
    }

    /// Handles what happened.
    pub fn handle(&mut self, now: Millis, event: Event, out: &mut Effects) {
        // A clock that goes back must not undo the order of events.
        self.ledger.now = self.ledger.now.max(now);
        match event {
            Event::Registered(id) => {
                if self.ledger.state.framework() != Some(&id) {
                    self.ledger.record(Op::SaveFramework(id));
                }
            }
            Event::Disconnected => {
                self.offers.clear();
                self.timers.forget_offers();
            }
            Event::Offers(offers) => self.on_offers(offers),
            Event::Rescinded(id) => {
                self.ledger.stats.offers_rescinded += 1;
                let held = self.take_offer(&id);
                self.ledger.stats.offer_cancel_failures += u64::from(!held);
            }
            Event::Statuses(updates) => self.on_statuses(updates, out),
            Event::LaunchFailed { task, offer_gone } => {
                self.ledger.stats.assigner_launch_failures += 1;
                self.ledger.stats.offer_accept_races += u64::from(offer_gone);
                let message = Some("Unknown exception attempting to schedule task.".into());
                self.ledger.change(&task, Some(Status::Assigned), Status::Lost, message);
            }
            Event::Request(number, request) => {
                let reply = self.request(request);
                self.stage(Effect::Reply(number, reply));
            }
            Event::Tick => self.on_tick(out),
        }
        self.flush(out);
    }

    /// When a [`Event::Tick`] is due, if ever.
    pub fn next_deadline(&self) -> Option<Millis> {
        let round = self.groups.any_ready().then(|| self.limit.next());
        self.timers.next().into_iter().chain(round).min()
    }

    /// All that is stored, and what will be.
    pub fn state(&self) -> &State {
        &self.ledger.state
    }

    /// Where what comes in is parsed.
    pub fn pool(&mut self) -> &mut Pool {
        &mut self.ledger.pool
    }

    /// The position of the last transaction.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The ledger, to look at counters and settings.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The held offers.
    pub fn offers(&self) -> &Offers {
        &self.offers
    }

    /// The groups that wait for a place.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter()
    }

    /// What is kept for whom.
    pub fn reservations(&mut self) -> &mut Reservations {
        &mut self.reservations
    }

    /// What is set to happen later, in no particular order.
    pub fn timers(&self) -> impl Iterator<Item = &Due> {
        self.timers.iter()
    }

    // ------------------------------------------------------------------------------------- Timers

    fn on_tick(&mut self, out: &mut Effects) {
        while let Some((at, due)) = self.timers.pop(self.ledger.now) {
            match due {
                Due::Offer(id) => self.on_offer_held(&id),
                Due::Group(config) => self.groups.make_ready(config),
                Due::Transient(watch) => self.on_transient(&watch),
                Due::KillRetry(watch, last) => self.on_kill_retry(watch, last),
                Due::Throttled(watch) => self.on_throttled(&watch),
                Due::Partitioned(watch) => self.on_partitioned(&watch),
                Due::History(task) => self.on_history(&task),
                Due::ReconcileExplicit => self.on_reconcile_explicit(at),
                Due::ReconcileImplicit => self.on_reconcile_implicit(at),
                Due::ReconcileBatch => self.on_reconcile_batch(),
            }
            self.follow();
        }
        self.rounds(out);
        self.send_launches();
    }

    /// Gives groups their turns, as far as the rate limit goes.
    fn rounds(&mut self, out: &mut Effects) {
        for rounds in 1..=ROUNDS_PER_TICK {
            if !self.groups.any_ready() {
                return;
            }
            if !self.limit.admit(self.ledger.now) {
                self.ledger.stats.schedule_attempts_blocks += u64::from(!self.blocked);
                self.blocked = true;
                return;
            }
            self.blocked = false;
            let Some(config) = self.groups.take_ready() else { return };
            self.round(config);
            if rounds % self.ledger.settings.max_rounds_per_transaction.max(1) == 0 {
                self.flush(out);
            }
        }
    }

    /// Everything that an offer got in this tick leaves with one call.
    fn send_launches(&mut self) {
        let refuse = self.ledger.settings.offer_filter;
        for opened in self.opened.take() {
            let offer = opened.held.id.clone();
            self.stage(Effect::Launch { offer, tasks: opened.tasks, refuse });
        }
    }

    // ------------------------------------------------------------------------------------- Offers

    fn on_offers(&mut self, offers: Vec<Offer>) {
        for mut offer in offers {
            self.ledger.stats.scheduler_resource_offers += 1;
            let known = self.ledger.state.host(&offer.agent.host);
            let host = Host {
                name: offer.agent.host.clone(),
                agent: offer.agent.id.clone(),
                attributes: std::mem::take(&mut offer.attributes),
                mode: known.map(|host| host.mode).unwrap_or_default(),
            };
            let host = match known {
                Some(known) if **known == host => known.clone(),
                _ => {
                    let host = Arc::new(host);
                    self.save_host(host.clone());
                    host
                }
            };
            let Ledger { settings, dice, now, .. } = &mut self.ledger;
            let hold = settings.min_offer_hold + dice.below(settings.offer_hold_jitter);
            let expires = (!settings.hold_offers_forever).then_some(*now + hold);
            let id = offer.id.clone();
            match self.offers.add(offer, host, settings, expires, dice.bits()) {
                Added::Held(Some(at)) => self.timers.set(at, Due::Offer(id)),
                Added::Held(None) => {}
                Added::Second(other) => {
                    self.timers.forget_offer(&other);
                    self.decline(vec![other, id]);
                }
            }
        }
    }

    /// Saves what is known of a host. Offers and spreads follow.
    pub(super) fn save_host(&mut self, host: Arc<Host>) {
        if self.ledger.save_host(host.clone()) {
            self.ledger.stats.host(&host);
            self.offers.change_host(&host, &self.ledger.settings);
            self.spreads.forget();
        }
    }

    fn on_offer_held(&mut self, id: &Text) {
        // Another offer cannot have the same id.
        if self.take_offer(id) {
            self.decline(vec![id.clone()]);
        }
    }

    /// Stops holding an offer. Returns true if it was held.
    fn take_offer(&mut self, id: &Text) -> bool {
        let held = self.offers.get(id).cloned();
        held.inspect(|held| self.take_held(held)).is_some()
    }

    /// Stops holding this offer.
    pub(super) fn take_held(&mut self, held: &Arc<Held>) {
        self.offers.take(held);
        if held.expires.is_some() {
            self.timers.forget_offer(&held.id);
        }
    }

    fn decline(&mut self, offers: Vec<Text>) {
        let refuse = self.ledger.settings.offer_filter;
        self.stage(Effect::Decline { offers, refuse });
    }

    // ----------------------------------------------------------------------------- Status updates

    fn on_statuses(&mut self, updates: Vec<StatusUpdate>, out: &mut Effects) {
        for (number, update) in updates.into_iter().enumerate() {
            if number > 0 && number % self.ledger.settings.max_status_batch.max(1) == 0 {
                self.flush(out);
            }
            self.on_status(update);
        }
    }

    fn on_status(&mut self, update: StatusUpdate) {
        self.ledger.stats.scheduler_status_update += 1;
        let StatusUpdate { task, state, message, reason, source, receipt } = update;
        let reason = reason.as_deref();
        // A state that Mesos has no name for says nothing; it is acknowledged all the same.
        if let Some(status) = Status::of_mesos(state) {
            let message = status_message(message, reason);
            let outcome = self.ledger.change(&task, None, status, message.map(Text::from));
            if let Some(reason) = reason {
                self.ledger.stats.count(format!("status_update_{reason}_{}", outcome.name()));
                if status.is_terminal() {
                    self.ledger.stats.count(format!("task_exit_{reason}"));
                }
            }
            if let (Status::Lost, Some(source)) = (status, source) {
                self.ledger.stats.count(format!("task_lost_{source}"));
            }
        }
        if let Some(receipt) = receipt {
            self.stage(Effect::Acknowledge(task, receipt));
        }
        self.follow();
    }

    // ------------------------------------------------------------------------------------ Placing

    /// Lets a task wait for a place. A task that waited before this process began is not in a hurry.
    pub(super) fn wait_for_place(&mut self, task: &Arc<Task>, restored: bool) {
        let config = &task.config;
        if self.groups.join(config.number, &task.id) {
            return;
        }
        let Ledger { state, settings, dice, now, .. } = &mut self.ledger;
        let penalty = if restored {
            let flapping = reschedule::penalty(state, task, settings, dice);
            flapping.max(dice.below(settings.max_startup_delay))
        } else {
            settings.first_schedule_delay
        };
        let overhead = config.executor.as_ref().and_then(|name| settings.executors.get(name));
        self.timers.set(*now + penalty, Due::Group(config.number));
        self.groups.insert(Group {
            config: config.clone(),
            needs: config.resources + overhead.copied().unwrap_or(Bag::EMPTY),
            revocable: settings.tiers.get(config.tier.as_ref()).revocable,
            queue: [task.id.clone()].into(),
            waiting: 1,
            penalty,
            sight: super::offers::Sight::default(),
            nearest: None,
        });
    }

    /// A round of a group: a place for some of its tasks.
    fn round(&mut self, config: ConfigNo) {
        self.reservations.expire(self.ledger.now);
        let Some(round) = Round::of(self, config) else { return };
        let placed = round.run(self);
        // It ends with its last task.
        let Some(group) = self.groups.get_mut(config) else { return };
        let Ledger { settings, dice, now, state, .. } = &mut self.ledger;
        // What was placed is in front, unless an instance had to wait for its own agent.
        let waits = |id: &TaskId| state.task(id).is_some_and(|t| t.status == Status::Pending);
        while group.queue.front().is_some_and(|id| !waits(id)) {
            group.queue.pop_front();
        }
        if placed > 0 {
            // There may be more for it in the same offers, whose rest is gone after this tick.
            group.penalty = settings.first_schedule_delay;
            self.groups.make_ready(config);
            return;
        }
        // The first delay is none of its steps.
        let bounds = settings.schedule_penalty;
        let last = if group.penalty < bounds.initial { 0 } else { group.penalty };
        group.penalty = dice.back_off(bounds, last);
        self.timers.set(*now + group.penalty, Due::Group(config));
    }

    /// Why the waiting tasks that are meant have no place, for people: what the nearest offer
    /// lacks, joined by commas; empty where nothing is offered. Computed once per round.
    pub fn pending_reasons(&mut self, query: &Query) -> Vec<(TaskId, String)> {
        let query = query.clone().in_states([Status::Pending].into_iter().collect());
        let tasks: Vec<_> = self.ledger.state.query(&query).cloned().collect();
        let reasons = tasks.iter().map(|task| {
            let reasons = self.nearest(task.config.number).unwrap_or_default();
            (task.id.clone(), reasons.join(","))
        });
        reasons.collect()
    }

    /// What the offer lacks that suits a group best.
    pub fn nearest(&mut self, config: ConfigNo) -> Option<Vec<String>> {
        let (now, threshold) = (self.ledger.now, self.ledger.settings.unavailability_threshold);
        let group = self.groups.get_mut(config)?;
        if let Some((until, reasons)) = &group.nearest
            && *until > now
        {
            return Some(reasons.clone());
        }
        let spread = self.spreads.get(&self.ledger.state, &group.config.job);
        let request = filter::Request { config: &group.config, needs: &group.needs, spread };
        let vetoes = |held: &Arc<Held>| {
            filter::vetoes(&request, &held.place(group.revocable), now, threshold)
        };
        let vetoes = self.offers.usable().map(vetoes).filter(|vetoes| !vetoes.is_empty());
        let nearest = vetoes.min_by_key(|v| v.iter().map(filter::Veto::score).sum::<i64>())?;
        let reasons: Vec<_> = nearest.iter().map(filter::Veto::reason).collect();
        group.nearest = Some((now + NEAREST_KEPT, reasons.clone()));
        Some(reasons)
    }

    // ---------------------------------------------------------------------------------- Following

    /// Lets everything that depends on tasks follow their changes.
    pub(super) fn follow(&mut self) {
        while let Some(change) = self.ledger.next_change() {
            self.spreads.follow(&self.ledger.state, &change);
            match &change {
                Change::Moved { task, from } => {
                    self.count(task);
                    if *from == Some(Status::Pending) {
                        self.leave_group(task);
                    }
                    // By now it may be elsewhere; then another change says so, before or after.
                    if self.ledger.state.task(&task.id).is_some_and(|now| Arc::ptr_eq(now, task)) {
                        if from.is_some() {
                            self.timers.forget_task(&task.id);
                        }
                        match task.status {
                            Status::Pending => self.wait_for_place(task, false),
                            _ => self.watch(task, false),
                        }
                    }
                }
                Change::Deleted(tasks) => {
                    for task in tasks {
                        self.timers.forget_task(&task.id);
                        if task.status == Status::Pending {
                            self.leave_group(task);
                        }
                        self.history.remove(task);
                    }
                }
            }
            if self.listening {
                self.staged.push(Effect::Changed(change));
            }
        }
        for id in self.ledger.take_kills() {
            self.stage(Effect::Kill(id));
        }
    }

    fn count(&mut self, task: &Task) {
        let Ledger { state, stats, .. } = &mut self.ledger;
        let host = task.host().filter(|_| task.status == Status::Lost);
        stats.task(task, host.and_then(|host| state.host(host)).map(|host| &**host));
    }

    fn leave_group(&mut self, task: &Task) {
        if self.groups.leave(task.config.number) {
            self.timers.forget_group(task.config.number);
        }
    }

    pub(super) fn stage(&mut self, effect: Effect) {
        self.staged.push(effect);
    }

    /// Sends what was decided on its way.
    fn flush(&mut self, out: &mut Effects) {
        self.follow();
        if let Some(transaction) = self.ledger.take_transaction() {
            self.position += 1;
            let state = self.ledger.state.clone();
            out.appends.push(Append { position: self.position, transaction, state });
        }
        let position = self.position;
        let after = |effect: &Effect| match effect {
            // Nothing that is stored depends on them, nor they on it.
            Effect::Decline { .. } | Effect::Reconcile(_) => 0,
            _ => position,
        };
        out.held.extend(self.staged.drain(..).map(|effect| (after(&effect), effect)));
    }
}

/// Rounds in a row, before other events have their turn.
const ROUNDS_PER_TICK: usize = 64;

/// For how long the reasons of a group are kept.
const NEAREST_KEPT: Millis = 10 * 60 * 1000;

/// What the task's event says: the update's message, or what its reason means to people.
fn status_message(message: Option<String>, reason: Option<&str>) -> Option<String> {
    match (message, reason) {
        // It says only that the executor is gone, which the state says.
        (_, Some("REASON_EXECUTOR_UNREGISTERED")) => None,
        (Some(message), _) => Some(message),
        (None, Some("REASON_CONTAINER_LIMITATION_MEMORY")) => {
            Some("Task used more memory than requested.".to_owned())
        }
        (None, Some("REASON_CONTAINER_LIMITATION_DISK")) => {
            Some("Task used more disk than requested.".to_owned())
        }
        (None, _) => None,
    }
}
