use std::collections::BTreeMap;

use serde_json::Value;

use super::*;

fn chosen(url: &str, variables: &[(&str, &str)]) -> Result<Option<Proxy>, String> {
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    proxy_for(&url.parse().unwrap(), |name| variables.get(name).map(|text| (*text).to_owned()))
}

/// Every decision that was recorded from the original's libraries.
#[test]
fn proxies_are_chosen_as_recorded() {
    let mut compared = 0;
    for line in include_str!("../../tests/proxies/recorded.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let variables = case["env"].as_object().unwrap();
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, text)| (&**name, text.as_str().unwrap())).collect();
        for (url, expected) in case["proxies"].as_object().unwrap() {
            let found = chosen(url, &variables).unwrap();
            let found = found.map(|proxy| format!("http://{}:{}", proxy.host, proxy.port));
            assert_eq!(found.as_deref(), expected.as_str(), "{url} {variables:?}");
            compared += 1;
        }
    }
    assert!(compared > 1000, "only {compared} decisions");
}

#[test]
fn what_a_variable_says() {
    let user = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
    for (text, shown, expected) in [
        ("p", "http://p:80", None),
        ("p:3128", "http://p:3128", None),
        ("p:", "http://p:80", None),
        ("http://p:3128/", "http://p:3128", None),
        ("HTTP://p:3128?x", "http://p:3128", None),
        ("https://p", "https://p:443", None),
        ("http://[::1]:3128", "http://[::1]:3128", None),
        ("http://[::1]", "http://[::1]:80", None),
        ("http://a:b@p:1", "http://p:1", user("a", "b")),
        ("a:b@p:1", "http://p:1", user("a", "b")),
        ("http://a%40x:b%3a%2F%zz%@p:1", "http://p:1", user("a@x", "b:/%zz%")),
        ("http://a:b@c@p:1", "http://p:1", user("a", "b@c")),
        ("http://a:@p:1", "http://p:1", user("a", "")),
        // As the original: only who has both says so.
        ("http://a@p:1", "http://p:1", None),
        ("http://:b@p:1", "http://p:1", None),
    ] {
        let proxy = chosen("http://s/", &[("HTTP_PROXY", text)]).unwrap().unwrap();
        assert_eq!(proxy.to_string(), format!("the proxy {shown} of HTTP_PROXY"), "{text}");
        assert_eq!(proxy.user, expected, "{text}");
    }
}

#[test]
fn what_is_no_proxy() {
    for (text, why) in [
        ("socks5://p:1080", "neither http:// nor https://"),
        ("http://", "no host in \"http://\""),
        ("http://a:secret@", "no host in \"\""),
        ("http://a b", "no host"),
        ("p:port", "no port"),
        ("p:0", "no port"),
        ("p:65536", "no port"),
        ("ftp://a:secret@p", "neither http:// nor https:// in \"p\""),
    ] {
        let error = chosen("https://s/", &[("ALL_PROXY", text)]).unwrap_err();
        assert!(error.starts_with("ALL_PROXY names no proxy that can be used: "), "{error}");
        assert!(error.contains(why) && !error.contains("secret"), "{error}");
        // Who does not need it does not mind.
        assert_eq!(chosen("https://s/", &[("ALL_PROXY", text), ("NO_PROXY", "s")]), Ok(None));
    }
}

#[test]
fn passwords_are_not_printed() {
    let proxy = chosen("http://s/", &[("http_proxy", "http://alice:secret@p:1")]).unwrap().unwrap();
    assert!(!format!("{proxy} {proxy:?}").contains("secret"));
}

#[test]
fn a_password_of_the_address_is_no_part_of_its_place() {
    let variables = [("http_proxy", "p:1"), ("no_proxy", "s")];
    assert_eq!(chosen("http://s:x@t/", &variables).unwrap().unwrap().host, "p");
    assert_eq!(chosen("http://t:x@s/", &variables), Ok(None));
}
