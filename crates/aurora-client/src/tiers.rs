//! The tiers of tasks, and which one a job gets.
//!
//! Source of behaviour: scheduler reference, "Configuration → Thrift", and the recorded cases
//! `job-create-def-*`.

use aurora_api::api;
use aurora_schema::value::{Raw, Value};

/// The tiers that a scheduler knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiers {
    default: String,
    /// Names, and whether tasks in them are production tasks: neither preemptible nor revocable.
    known: Vec<(String, bool)>,
}

/// The tiers that schedulers have unless they are told others.
impl Default for Tiers {
    fn default() -> Tiers {
        let known = [("preferred", true), ("preemptible", false), ("revocable", false)];
        Tiers {
            default: "preemptible".to_owned(),
            known: known.map(|(name, production)| (name.to_owned(), production)).to_vec(),
        }
    }
}

impl Tiers {
    /// What a scheduler says about its tiers.
    pub fn of(result: &api::GetTierConfigResult) -> Tiers {
        let known = result.tiers.iter().flatten().filter_map(|tier| {
            let is = |name: &str| {
                let settings = tier.settings.as_ref();
                settings.and_then(|settings| settings.get(name)).is_some_and(|text| text == "true")
            };
            Some((tier.name.clone()?, !is("preemptible") && !is("revocable")))
        });
        Tiers {
            default: result.default_tier_name.clone().unwrap_or_default(),
            known: known.collect(),
        }
    }

    /// The tier that a job has or gets, and whether it is a production job. A known tier decides
    /// that, whatever the job says.
    pub fn tier(&self, job: &Value) -> (String, bool) {
        let production = job.attribute("production").and_then(Value::raw) == Some(&Raw::Bool(true));
        match job.attribute("tier").and_then(Value::as_text) {
            Some(tier) => {
                let known = self.known.iter().find(|(name, _)| name == tier);
                (tier.to_owned(), known.map_or(production, |(_, production)| *production))
            }
            None => {
                let own = self.known.iter().find(|(_, own)| production && *own);
                (own.map_or(&self.default, |(name, _)| name).clone(), production)
            }
        }
    }

    /// A job with its tier.
    pub fn fill(&self, job: &Value) -> Value {
        self.fill_as(job, job)
    }

    /// A job with the tier of another: of what it is after interpolation.
    pub fn fill_as(&self, job: &Value, like: &Value) -> Value {
        let (tier, production) = self.tier(like);
        let filled = job.with_attributes([
            ("tier", Some(Value::string(&tier))),
            ("production", Some(Value::boolean(production))),
        ]);
        filled.unwrap_or_else(|_| job.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use aurora_schema::json::Json;
    use aurora_schema::schema::MESOS_JOB;
    use aurora_schema::types::Type;
    use aurora_schema::value::Strictness;

    use super::*;

    fn job(members: &str) -> Value {
        let json: Json = aurora_schema::json::parse(format!("{{{members}}}").as_bytes()).unwrap();
        Value::from_json(&Type::Struct(MESOS_JOB.clone()), json, Strictness::Strict).unwrap()
    }

    #[test]
    fn which_tier() {
        for (members, tier, production) in [
            ("", "preemptible", false),
            (r#""production": true"#, "preferred", true),
            (r#""tier": "preferred""#, "preferred", true),
            (r#""tier": "preferred", "production": false"#, "preferred", true),
            (r#""tier": "revocable", "production": true"#, "revocable", false),
            (r#""tier": "gold", "production": true"#, "gold", true),
        ] {
            assert_eq!(Tiers::default().tier(&job(members)), (tier.to_owned(), production));
        }
    }

    #[test]
    fn what_schedulers_say() {
        let tier = |name: &str, preemptible: &str, revocable: &str| api::TierConfig {
            name: Some(name.to_owned()),
            settings: Some(BTreeMap::from([
                ("preemptible".to_owned(), preemptible.to_owned()),
                ("revocable".to_owned(), revocable.to_owned()),
            ])),
            ..Default::default()
        };
        let said = api::GetTierConfigResult {
            default_tier_name: Some("low".to_owned()),
            tiers: Some(BTreeSet::from([
                tier("low", "true", "false"),
                tier("top", "false", "false"),
            ])),
            ..Default::default()
        };
        let tiers = Tiers::of(&said);
        assert_eq!(tiers.tier(&job("")), ("low".to_owned(), false));
        assert_eq!(tiers.tier(&job(r#""production": true"#)), ("top".to_owned(), true));
        let filled = tiers.fill(&job(r#""tier": "top""#));
        assert_eq!(filled.attribute("production").and_then(Value::raw), Some(&Raw::Bool(true)));
    }
}
