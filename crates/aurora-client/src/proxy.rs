//! Which proxy a request goes through, as the environment says.
//!
//! ```text
//! http_proxy  HTTP_PROXY       for http://, HOST:PORT or http[s]://[USER:PASSWORD@]HOST[:PORT]
//! https_proxy HTTPS_PROXY      for https://
//! all_proxy   ALL_PROXY        for both, where there is none of their own
//! no_proxy    NO_PROXY         HOST,… that are asked directly
//! ```
//!
//! The name in small letters counts for more; if it is empty, it takes the other away. No address is
//! special: also this machine is asked through the proxy unless `NO_PROXY` names it.
//!
//! Source of behaviour: the libraries of the original's client (requests 2.18 with Python 2.7), whose
//! decisions are recorded in `tests/proxies`.

use std::fmt;
use std::net::Ipv4Addr;

use http::Uri;

/// A proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// The variable that names it.
    pub variable: String,
    /// Whether it is spoken to under protection.
    pub tls: bool,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What it wants to see in `Proxy-Authorization`, as a name and a password.
    pub user: Option<(String, String)>,
}

/// Without name and password, with the variable: as an error should name it.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Proxy { variable, tls, host, port, .. } = self;
        let scheme = if *tls { "https" } else { "http" };
        match host.contains(':') {
            true => write!(f, "the proxy {scheme}://[{host}]:{port} of {variable}"),
            false => write!(f, "the proxy {scheme}://{host}:{port} of {variable}"),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The proxy for an address.
///
/// # Errors
/// A variable names something that is none: a sentence.
pub fn proxy_for(
    url: &Uri,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, String> {
    if is_direct(url, &variable) {
        return Ok(None);
    }
    let scheme = url.scheme_str().unwrap_or_default();
    let named = named(scheme, &variable).or_else(|| named("all", &variable));
    named.map(|(variable, text)| parse(&variable, &text)).transpose()
}

/// The variable of a name that counts, and what it says.
fn named(name: &str, variable: &impl Fn(&str) -> Option<String>) -> Option<(String, String)> {
    let small = format!("{name}_proxy");
    if let Some(text) = variable(&small) {
        return (!text.is_empty()).then_some((small, text));
    }
    // Servers that run programs put a request's header `Proxy` there.
    if name == "http" && variable("REQUEST_METHOD").is_some() {
        return None;
    }
    let large = small.to_uppercase();
    variable(&large).filter(|text| !text.is_empty()).map(|text| (large, text))
}

/// Whether `NO_PROXY` names an address. Two libraries look, each in its own way, and one is enough.
fn is_direct(url: &Uri, variable: &impl Fn(&str) -> Option<String>) -> bool {
    let whole = url.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let place = whole.rsplit_once('@').map_or(whole, |(_, place)| place);
    let set = |name| variable(name).filter(|text: &String| !text.is_empty());
    let first = set("no_proxy").or_else(|| set("NO_PROXY"));
    first.is_some_and(|rules| is_listed(place, &rules))
        || named("no", variable).is_some_and(|(_, rules)| is_below(place, &rules))
}

/// Networks and addresses for a host that is an IPv4 address; for all others, how the name ends, with
/// or without the port.
fn is_listed(place: &str, rules: &str) -> bool {
    let rules = rules.replace(' ', "");
    let mut rules = rules.split(',').filter(|rule| !rule.is_empty());
    let host = place.split(':').next().unwrap_or_default();
    match ipv4(host) {
        Some(address) => rules.any(|rule| match network(rule) {
            Some((network, mask)) => address & mask == network & mask,
            None => rule == host,
        }),
        None => rules.any(|rule| place.ends_with(rule) || host.ends_with(rule)),
    }
}

/// `*`, or names with all that is below them, in any case, with or without the port.
fn is_below(place: &str, rules: &str) -> bool {
    if rules == "*" {
        return true;
    }
    let place = place.to_lowercase();
    let host = match place.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => &*place,
    };
    let mut rules = rules.split(',').map(str::trim).filter(|rule| !rule.is_empty());
    rules.any(|rule| {
        let rule = rule.trim_start_matches('.').to_lowercase();
        [host, &place].iter().any(|name| match name.strip_suffix(&*rule) {
            Some(above) => above.is_empty() || above.len() > 1 && above.ends_with('.'),
            None => false,
        })
    })
}

/// `ADDRESS/BITS`, as an address and a mask.
fn network(rule: &str) -> Option<(u32, u32)> {
    let (address, bits) = rule.split_once('/')?;
    let bits = bits.parse::<u32>().ok().filter(|bits| (1..=32).contains(bits))?;
    Some((ipv4(address)?, u32::MAX << (32 - bits)))
}

/// An IPv4 address as the system's libraries read it: also `127.1`, `0x7f.0.0.1` and `2130706433`.
fn ipv4(text: &str) -> Option<u32> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(address.into());
    }
    let number = |part: &str| match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None if part.len() > 1 && part.starts_with('0') => u32::from_str_radix(part, 8).ok(),
        None => part.parse().ok(),
    };
    // What a sign would make a number, too, is none.
    if text.contains(['+', '-']) {
        return None;
    }
    let parts = text.split('.').map(number).collect::<Option<Vec<u32>>>()?;
    let (last, bytes) = parts.split_last()?;
    // The last part is for all the bytes that are left.
    let room = 32_u32.checked_sub(8 * u32::try_from(bytes.len()).ok()?).filter(|room| *room > 0)?;
    if bytes.iter().any(|byte| *byte > 255) || u64::from(*last) >= 1 << room {
        return None;
    }
    let head = bytes.iter().fold(0, |head, byte| head << 8 | byte);
    Some(u32::try_from(u64::from(head) << room).ok()? | last)
}

/// What a variable says.
fn parse(variable: &str, text: &str) -> Result<Proxy, String> {
    let wrong = |why: &str| {
        // A password is not shown.
        let shown = text.rsplit_once('@').map_or(text, |(_, place)| place);
        format!(
            "{variable} names no proxy that can be used: {why} in {shown:?}; expected \
             http://[USER:PASSWORD@]HOST[:PORT]"
        )
    };
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let tls = match &*scheme.to_ascii_lowercase() {
        "http" => false,
        "https" => true,
        _ => return Err(wrong("neither http:// nor https://")),
    };
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (user.split_once(':'), place),
        None => (None, rest),
    };
    let user = user.filter(|(name, _)| !name.is_empty());
    let user = user.map(|(name, password)| (unescaped(name), unescaped(password)));
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').unwrap_or(port))),
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(wrong("no host"));
    }
    let port = match port.filter(|port| !port.is_empty()) {
        None => {
            if tls {
                443
            } else {
                80
            }
        }
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(|| wrong("no port"))?,
    };
    Ok(Proxy { variable: variable.to_owned(), tls, host: host.to_owned(), port, user })
}

/// A part of an address with `%40` as the character that it stands for.
pub(crate) fn unescaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let code = match rest {
            [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digits = [*high, *low];
                std::str::from_utf8(&digits).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok())
            }
            _ => None,
        };
        out.push(code.unwrap_or(*byte));
        rest = if code.is_some() { &rest[3..] } else { after };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests;
