//! Which frameworks there are: who may subscribe, who is away, and who is removed.

use std::collections::BTreeMap;
use std::time::Duration;

use mesos_scheduler::v1::framework_info::capability;
use mesos_scheduler::v1::scheduler::event::{Error, Subscribed, Type};
use mesos_scheduler::v1::scheduler::{Call, Event};
use mesos_scheduler::v1::{FrameworkId, FrameworkInfo};

use crate::master::pool::{Style, has};

use super::{Effect, Framework, Master, Now, RETRY, Stream, of_type};

impl Master {
    pub(super) fn subscribe(
        &mut self,
        now: Now,
        stream: u64,
        name: String,
        call: Call,
        new_id: String,
        out: &mut Vec<Effect>,
    ) {
        let Some(subscribe) = call.subscribe else { return };
        let mut info = subscribe.framework_info;
        let mut refuse = |message: String| {
            let error = Some(Error { message });
            out.push(Effect::Send(stream, Box::new(Event { error, ..of_type(Type::Error) })));
            out.push(Effect::Close(stream));
        };
        if let Err(text) = validate(&info, &subscribe.suppressed_roles) {
            return refuse(text);
        }
        let id = match &info.id {
            Some(id) if self.removed.contains(&id.value) => {
                return refuse("Framework has been removed".to_owned());
            }
            Some(id) => id.value.clone(),
            None => new_id,
        };
        info.id = Some(FrameworkId { value: id.clone() });
        let style = Style::of(&info);
        let suppressed = !subscribe.suppressed_roles.is_empty();
        let beats_at = now.mono + self.settings.heartbeat;
        let fresh = Some(Stream { number: stream, name, beats_at });
        match self.frameworks.get_mut(&id) {
            Some(framework) => {
                if framework.info.principal != info.principal {
                    return refuse("Changing framework's principal is not allowed.".to_owned());
                }
                if let Some(old) = framework.stream.take() {
                    let message = "Framework failed over".to_owned();
                    let event = Event { error: Some(Error { message }), ..of_type(Type::Error) };
                    out.push(Effect::Send(old.number, Box::new(event)));
                    out.push(Effect::Close(old.number));
                }
                // These two never change.
                info.user.clone_from(&framework.info.user);
                info.checkpoint = framework.info.checkpoint;
                framework.info = info;
                framework.style = style;
                framework.stream = fresh;
                framework.dies_at = None;
                framework.suppressed = suppressed;
                framework.filters.clear();
            }
            None => {
                let framework = Framework {
                    info,
                    style,
                    stream: fresh,
                    dies_at: None,
                    suppressed,
                    filters: BTreeMap::new(),
                    tasks: BTreeMap::new(),
                    executors: BTreeMap::new(),
                    updates: BTreeMap::new(),
                    unreachable: BTreeMap::new(),
                };
                self.frameworks.insert(id.clone(), framework);
            }
        }
        // Offers of the former stream are void.
        self.offers.retain(|_, offer| offer.framework != id);
        let subscribed = Subscribed {
            framework_id: FrameworkId { value: id.clone() },
            heartbeat_interval_seconds: Some(self.settings.heartbeat.as_secs_f64()),
            master_info: Some(self.settings.info.clone()),
        };
        let event = Event { subscribed: Some(subscribed), ..of_type(Type::Subscribed) };
        self.send(&id, event, out);
        self.send(&id, of_type(Type::Heartbeat), out);
        // What was pending comes at once.
        if let Some(framework) = self.frameworks.get_mut(&id) {
            for updates in framework.updates.values_mut() {
                updates.again_at = Some(now.mono);
                updates.pause = RETRY.0;
            }
        }
        self.allocate_at = self.allocate_at.max(now.mono + self.settings.allocation_interval / 2);
    }

    pub(super) fn stream_lost(&mut self, now: Now, stream: u64) {
        let of_stream = |framework: &&mut Framework| {
            framework.stream.as_ref().is_some_and(|current| current.number == stream)
        };
        let Some(framework) = self.frameworks.values_mut().find(of_stream) else { return };
        framework.stream = None;
        let timeout = framework.info.failover_timeout.unwrap_or_default().max(0.0);
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or(Duration::MAX);
        framework.dies_at = Some(now.mono.saturating_add(timeout));
        let id = framework.info.id.as_ref().map(|id| id.value.clone()).unwrap_or_default();
        self.offers.retain(|_, offer| offer.framework != id);
    }

    /// Removes a framework for good, with everything that it runs.
    pub(super) fn remove(&mut self, id: &str, out: &mut Vec<Effect>) {
        let Some(framework) = self.frameworks.remove(id) else { return };
        self.removed.insert(id.to_owned());
        self.offers.retain(|_, offer| offer.framework != id);
        for (agent, executor) in framework.executors.into_keys() {
            out.push(Effect::Shutdown { framework: id.to_owned(), agent, executor });
        }
        if let Some(stream) = framework.stream {
            out.push(Effect::Close(stream.number));
        }
    }
}

/// `Err`: what is wrong with a framework, in the words of the ERROR event.
fn validate(info: &FrameworkInfo, suppressed: &[String]) -> Result<(), String> {
    let multi = has(info, capability::Type::MultiRole);
    let roles: Vec<&str> = match multi {
        true if info.role.is_some() => {
            let text =
                "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable";
            return Err(text.to_owned());
        }
        true => info.roles.iter().map(String::as_str).collect(),
        false if !info.roles.is_empty() => {
            let text = "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable";
            return Err(text.to_owned());
        }
        false => vec![info.role()],
    };
    let valid = |role: &str| {
        role == "*"
            || !role.is_empty()
                && !role.starts_with('-')
                && role.split('/').all(|part| !matches!(part, "" | "." | ".." | "*"))
                && !role.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\')
    };
    if let Some(role) = roles.iter().find(|role| !valid(role)) {
        let field = if multi { "roles" } else { "role" };
        return Err(format!("'FrameworkInfo.{field}' contains invalid role: {role:?}"));
    }
    if let Some(role) = suppressed.iter().find(|role| !roles.contains(&role.as_str())) {
        return Err(format!("Suppressed role '{role}' is not contained in the list of roles"));
    }
    Ok(())
}
