//! Any text where a key of a job is expected: no panic, what was understood means the same when it is
//! written down, and patterns fit what a slow, plain reading of them fits. Input: the key, a newline, a
//! name.

#![no_main]

use aurora_client::keys::{InstanceKey, InstancesKey, Pattern, listed, matches, parse_instances};
use libfuzzer_sys::fuzz_target;

/// Whether a name fits a pattern of `*` and `?`.
fn fits(pattern: &[char], name: &[char]) -> bool {
    // What the pattern read so far can have taken.
    let mut taken = vec![false; name.len() + 1];
    taken[0] = true;
    for part in pattern {
        let mut next = vec![*part == '*' && taken[0]];
        for (at, character) in name.iter().enumerate() {
            next.push(match part {
                '*' => next[at] || taken[at + 1],
                '?' => taken[at],
                other => taken[at] && other == character,
            });
        }
        taken = next;
    }
    taken[name.len()]
}

fuzz_target!(|source: &str| {
    let (text, name) = source.split_once('\n').unwrap_or((source, "hello"));
    let key = text.parse::<InstancesKey>();
    // A million instances take their time, and say no more.
    let is_small = |key: &InstancesKey| key.instances.iter().flatten().count() < 1000;
    if let Ok(key) = key
        && is_small(&key)
    {
        let instances = key.instances.as_ref().map(listed).unwrap_or_default();
        let instances = instances.replace(['[', ']', ' '], "");
        let plain = format!("{}/{instances}", key.job);
        assert_eq!(plain.parse::<InstancesKey>().as_ref(), Ok(&key), "{plain}");
    }
    if let Ok(key) = text.parse::<InstanceKey>() {
        assert_eq!(key.to_string().parse::<InstanceKey>(), Ok(key));
    }
    if let Ok(instances) = parse_instances(text) {
        assert!(!instances.is_empty() && instances.iter().all(|instance| *instance >= 0));
    }
    if let Ok(pattern) = text.parse::<Pattern>() {
        assert_eq!(pattern.to_string(), text);
        if let Ok(Some(job)) = pattern.exact() {
            assert!(pattern.fits(&job));
        }
    }
    let found = matches(text, name);
    if !text.contains('[') {
        let (pattern, name): (Vec<char>, Vec<char>) =
            (text.chars().collect(), name.chars().collect());
        assert_eq!(found, fits(&pattern, &name));
    }
});
