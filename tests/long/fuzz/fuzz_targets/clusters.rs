//! Any `clusters.json`, and any environment that may name a proxy: no panic, errors name the file or
//! the variable, and what was understood can be used. Input: lines `VARIABLE=VALUE`, an empty line,
//! the file; the address that is asked is that of each cluster.

#![no_main]

use std::path::Path;

use aurora_client::clusters::{Clusters, Finding};
use aurora_client::proxy::proxy_for;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|source: &str| {
    let (head, text) = source.split_once("\n\n").unwrap_or(("", source));
    let variables: Vec<(&str, &str)> =
        head.lines().filter_map(|line| line.split_once('=')).collect();
    let variable = |name: &str| {
        let value = variables.iter().find(|(known, _)| *known == name);
        value.map(|(_, value)| (*value).to_owned())
    };
    let mut clusters = Clusters::default();
    if let Err(why) = clusters.add(Path::new("/the/file"), text.as_bytes()) {
        assert!(why.contains("/the/file"), "{why}");
    }
    for cluster in clusters.all() {
        assert_eq!(clusters.get(&cluster.name), Ok(cluster));
        let address = match &cluster.finding {
            Finding::ZooKeeper(servers, path) => {
                assert!(
                    servers.is_empty() || servers.split(',').all(|server| server.contains(':'))
                );
                assert!(!path.is_empty());
                continue;
            }
            Finding::Nowhere(why) => {
                assert!(!why.is_empty());
                continue;
            }
            Finding::Address(address) => address,
        };
        let Ok(uri) = address.parse() else { continue };
        match proxy_for(&uri, variable) {
            Ok(None) => {}
            Ok(Some(proxy)) => {
                assert!(!proxy.host.is_empty() && proxy.port > 0);
                assert!(variables.iter().any(|(name, _)| *name == proxy.variable));
                assert!(proxy.user.is_none_or(|(name, _)| !name.is_empty()));
            }
            Err(why) => {
                let named = |(name, _): &(&str, &str)| why.starts_with(name);
                assert!(variables.iter().any(named), "{why}");
            }
        }
    }
});
