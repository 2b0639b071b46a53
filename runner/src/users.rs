//! Who a task runs as, from `passwd` and `group` files read by ourselves.
//!
//! The runner is linked statically, where the C library's look-ups would load modules at run time.
//! For users that the files do not know (LDAP and the like) `getent` is asked.

use std::io;
use std::process::{Command, Stdio};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Home directory.
    pub home: String,
    /// Supplementary groups: those whose member list names the user.
    pub groups: Vec<u32>,
}

/// Finds users; a seam for tests.
pub trait Directory {
    /// The text of the `passwd` file.
    fn passwd(&self) -> io::Result<String>;
    /// The text of the `group` file.
    fn group(&self) -> io::Result<String>;
    /// What `getent DATABASE KEY` prints; `None` if it finds nothing or does not exist.
    fn getent(&self, database: &str, key: &str) -> Option<String>;
}

/// The system's users.
#[derive(Debug)]
pub struct System;

impl Directory for System {
    fn passwd(&self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read("/etc/passwd")?).into_owned())
    }

    fn group(&self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read("/etc/group")?).into_owned())
    }

    fn getent(&self, database: &str, key: &str) -> Option<String> {
        let output = Command::new("getent")
            .args(["--", database, key])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn parse_passwd_line(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name =
        fields.next().filter(|name| !name.is_empty() && !name.starts_with(['+', '-', '#']))?;
    let (_password, uid, gid) = (fields.next()?, fields.next()?, fields.next()?);
    let (_gecos, home) = (fields.next()?, fields.next()?);
    Some(User {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: home.to_owned(),
        groups: Vec::new(),
    })
}

fn groups_of(group_file: &str, name: &str) -> Vec<u32> {
    let mut groups: Vec<u32> = group_file
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let gid = fields.nth(2)?;
            let is_member = fields.next()?.split(',').any(|member| member.trim() == name);
            if is_member { gid.parse().ok() } else { None }
        })
        .collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// Finds a user by name. A number is not a name, unless a user is really called so.
pub fn by_name(directory: &impl Directory, name: &str) -> io::Result<Option<User>> {
    if name.is_empty() || name.contains([':', '\n', '\0']) {
        return Ok(None);
    }
    find(directory, name, |user| user.name == name)
}

/// Finds a user by id.
pub fn by_uid(directory: &impl Directory, uid: u32) -> io::Result<Option<User>> {
    find(directory, &uid.to_string(), |user| user.uid == uid)
}

fn find(
    directory: &impl Directory,
    key: &str,
    matches: impl Fn(&User) -> bool,
) -> io::Result<Option<User>> {
    let passwd = match directory.passwd() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        other => other?,
    };
    if let Some(mut user) = passwd.lines().filter_map(parse_passwd_line).find(&matches) {
        let group = match directory.group() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            other => other?,
        };
        user.groups = groups_of(&group, &user.name);
        return Ok(Some(user));
    }
    let Some(mut user) = directory
        .getent("passwd", key)
        .and_then(|text| text.lines().filter_map(parse_passwd_line).find(&matches))
    else {
        return Ok(None);
    };
    // "NAME gid gid ..."
    if let Some(text) = directory.getent("initgroups", &user.name) {
        user.groups = text.split_whitespace().skip(1).filter_map(|gid| gid.parse().ok()).collect();
    }
    Ok(Some(user))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake;

    impl Directory for Fake {
        fn passwd(&self) -> io::Result<String> {
            Ok("root:x:0:0:root:/root:/bin/bash\n\
                broken\nbad:x:notanumber:0::/:\n+nis::::::\n\
                ann:x:1000:1000:Ann,,,:/home/ann:/bin/sh\n\
                7:x:1007:1007::/home/seven:/bin/sh\n"
                .to_owned())
        }

        fn group(&self) -> io::Result<String> {
            Ok("root:x:0:\nwheel:x:10:root,ann\ndocker:x:20:annette\nvideo:x:30:ann\n\
                video2:x:30:ann\nann:x:1000:\n"
                .to_owned())
        }

        fn getent(&self, database: &str, key: &str) -> Option<String> {
            match (database, key) {
                ("passwd", "ldap" | "5000") => Some("ldap:*:5000:5001::/home/ldap:\n".to_owned()),
                // getent takes a number as an id.
                ("passwd", "1000") => Some("ann:x:1000:1000::/home/ann:\n".to_owned()),
                ("initgroups", "ldap") => Some("ldap                  10 40\n".to_owned()),
                _ => None,
            }
        }
    }

    #[test]
    fn from_the_files() {
        let ann = by_name(&Fake, "ann").unwrap().unwrap();
        assert_eq!((ann.uid, ann.gid, ann.home.as_str()), (1000, 1000, "/home/ann"));
        assert_eq!(ann.groups, [10, 30], "listed memberships, without the primary group");
        assert_eq!(by_uid(&Fake, 1000).unwrap().unwrap(), ann);
    }

    #[test]
    fn through_getent() {
        let ldap = by_name(&Fake, "ldap").unwrap().unwrap();
        assert_eq!((ldap.uid, ldap.gid, ldap.groups.as_slice()), (5000, 5001, &[10, 40][..]));
        assert_eq!(by_uid(&Fake, 5000).unwrap().unwrap().name, "ldap");
    }

    #[test]
    fn fails_closed() {
        for name in ["", "0", "0day", "1000", "root ", "ro:ot", "+nis", "bad", "broken", "nosuch"] {
            assert_eq!(by_name(&Fake, name).unwrap(), None, "{name:?}");
        }
        assert_eq!(by_name(&Fake, "7").unwrap().unwrap().uid, 1007, "a user called 7");
        assert_eq!(by_uid(&Fake, 7).unwrap(), None);
    }
}
