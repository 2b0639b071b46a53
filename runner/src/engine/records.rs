//! Records of the engine: how they are made, and the one way in which each of them changes the state,
//! whether it was just decided, came from a coordinator or is read back.

use super::*;

impl Engine {
    pub(super) fn next_status(&self, process: u32, run: Run) -> ProcessStatus {
        let last = &self.runs[process as usize];
        ProcessStatus {
            seq: Some(if last.state.is_some() { last.seq.saturating_add(1) } else { 0 }),
            process: Some(self.names[process as usize].clone()),
            state: Some(run.wire()),
            ..ProcessStatus::default()
        }
    }

    pub(super) fn announce(&mut self, now: Now, stage: Stage, effects: &mut Vec<Effect>) {
        let mut status = TaskStatus {
            state: Some(stage.wire()),
            timestamp_ms: Some(now.millis()),
            runner_pid: Some(self.controller.pid),
            runner_uid: Some(self.controller.uid),
            ..TaskStatus::default()
        };
        if self.stage.is_none() || self.stage == Some(stage) {
            // Taking control: this is what later readers check recorded pids against.
            status.boot_id.clone_from(&self.controller.boot_id);
            status.runner_start_ticks = self.controller.ticks;
        }
        if let Some((goal, deadline)) = self.goal
            && !stage.is_terminal()
        {
            status.goal = Some(goal.wire());
            status.deadline_ms = Some(now.millis() + (deadline - now.mono) / 1000);
        }
        self.write(now, RunnerCkpt::TaskStatus(status), effects);
    }

    pub(super) fn write_process(
        &mut self,
        now: Now,
        status: ProcessStatus,
        effects: &mut Vec<Effect>,
    ) {
        self.write(now, RunnerCkpt::ProcessStatus(status), effects);
    }

    /// Records a decision of the engine's own.
    pub(super) fn write(&mut self, now: Now, record: RunnerCkpt, effects: &mut Vec<Effect>) {
        match self.apply(now, &record) {
            Ok(_) => effects.push(Effect::Write(record)),
            // Not reachable as long as the stages above ask the tables; never worth a broken stream.
            Err(misfit) => effects.push(Effect::Log(Level::Error, misfit.to_string())),
        }
    }

    /// The one place where a record changes the state.
    pub(super) fn apply(&mut self, now: Now, record: &RunnerCkpt) -> Result<Applied, Misfit> {
        match record {
            RunnerCkpt::RunnerHeader(_) if self.has_header => {
                Err(Misfit("a second header in one stream".to_owned()))
            }
            RunnerCkpt::RunnerHeader(_) => {
                self.has_header = true;
                Ok(Applied::Other)
            }
            RunnerCkpt::TaskStatus(status) => self.apply_task(now, status),
            RunnerCkpt::ProcessStatus(status) => self.apply_process(now, status),
            RunnerCkpt::LogStatus(_) | RunnerCkpt::Unknown(..) => Ok(Applied::Other),
        }
    }

    pub(super) fn apply_task(&mut self, now: Now, status: &TaskStatus) -> Result<Applied, Misfit> {
        let state = status.state.ok_or_else(|| Misfit("a task record without state".to_owned()))?;
        let stage = Stage::from_wire(state)
            .ok_or_else(|| Misfit(format!("unknown task state {}", state.0)))?;
        if !stage.may_follow(self.stage) {
            let before = self.stage.map_or("the start", Stage::name);
            return Err(Misfit(format!(
                "invalid transition of the task from {before} to {}",
                stage.name()
            )));
        }
        let at = now.mono_of(status.timestamp_ms.unwrap_or(i64::MAX / 1000).saturating_mul(1000));
        if matches!(stage, Stage::Cleaning | Stage::Finalizing) {
            self.cleaning_since.get_or_insert(at);
        }
        if let Some(goal) = status.goal.and_then(Stage::from_wire) {
            let left = status.deadline_ms.map_or(0, |deadline| {
                deadline.saturating_mul(1000).saturating_sub(now.wall).max(0)
            });
            self.goal.get_or_insert((goal, now.mono.saturating_add(left)));
        }
        self.stage = Some(stage);
        Ok(Applied::Other)
    }

    pub(super) fn apply_process(
        &mut self,
        now: Now,
        status: &ProcessStatus,
    ) -> Result<Applied, Misfit> {
        let (Some(name), Some(seq), Some(state)) = (&status.process, status.seq, status.state)
        else {
            return Err(Misfit("a process record without name, seq or state".to_owned()));
        };
        let Some(&process) = self.by_name.get(name) else {
            return Err(Misfit(format!("the task has no process {name:?}")));
        };
        let run = Run::from_wire(state)
            .ok_or_else(|| Misfit(format!("process {name:?}: unknown state {}", state.0)))?;
        let last = &mut self.runs[process as usize];
        if last.state.is_some() && seq <= last.seq {
            return Ok(Applied::Known);
        }
        let expected = if last.state.is_some() { last.seq.saturating_add(1) } else { 0 };
        if seq != expected {
            return Err(Misfit(format!(
                "process {name:?}: record {seq} ({}) where {expected} was expected",
                run.name()
            )));
        }
        if !run.may_follow(last.state) {
            let before = last.state.map_or("the start", Run::name);
            return Err(Misfit(format!(
                "process {name:?}: invalid transition from {before} to {}",
                run.name()
            )));
        }
        if last.state == Some(Run::Forked) {
            self.forked.remove(&(last.forked_until, process));
        }
        last.state = Some(run);
        last.seq = seq;
        let ending = match run {
            Run::Waiting => {
                last.runs += 1;
                last.coordinator = None;
                let place = self.places[process as usize];
                self.plan_of(place).force_start(place.index);
                None
            }
            Run::Forked => {
                last.coordinator = status.coordinator_pid.map(|pid| Claim {
                    pid,
                    ticks: status.coordinator_start_ticks,
                    fork_time: status.fork_time.map_or(0.0, |time| time.0),
                });
                last.forked_until = now.mono + FORKED_TIMEOUT;
                self.forked.insert((last.forked_until, process));
                None
            }
            Run::Running => None,
            Run::Success => Some(Ending::Success),
            Run::Failed => Some(Ending::Failure),
            Run::Killed | Run::Lost => Some(Ending::Loss),
        };
        if let Some(ending) = ending {
            let at = match status.stop_time {
                Some(Double(seconds)) if seconds.is_finite() => {
                    now.mono_of((seconds * 1e6) as Micros)
                }
                _ => now.mono,
            };
            let place = self.places[process as usize];
            // `end` refuses only what does not run, and `force_start` ran on WAITING.
            let _ = self.plan_of(place).end(place.index, ending, at);
        }
        Ok(Applied::Process(process, run))
    }

    pub(super) fn plan_of(&mut self, place: Place) -> &mut Plan {
        if place.is_final { &mut self.finalizing } else { &mut self.regular }
    }

    /// The log line for a record of a coordinator.
    pub(super) fn describe(&self, status: &ProcessStatus) -> Option<Effect> {
        let name = status.process.as_deref()?;
        let code = status.return_code.unwrap_or_default();
        let line = match Run::from_wire(status.state?)? {
            Run::Success => format!("Process({name}) finished successfully [rc={code}]"),
            Run::Failed => match &status.reason {
                Some(reason) => format!("Process({name}) failed [rc={code}]: {reason}"),
                None => format!("Process({name}) failed [rc={code}]"),
            },
            Run::Killed => format!("Process({name}) was killed [rc={code}]"),
            Run::Running => {
                return Some(Effect::Log(
                    Level::Debug,
                    format!("Process({name}) runs as pid {}", status.pid.unwrap_or_default()),
                ));
            }
            Run::Waiting | Run::Forked | Run::Lost => return None,
        };
        Some(Effect::Log(Level::Info, line))
    }
}
