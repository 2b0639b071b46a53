//! What a runner finds and prepares before its loop begins.

use super::*;

/// Replays a stream; returns the length of its complete records.
pub(super) fn replay(
    engine: &mut Engine,
    stream: &File,
    path: &std::path::Path,
) -> Result<u64, RunError> {
    let mut reader = Reader::new();
    let now = now();
    loop {
        let offset = reader.offset();
        let corrupt = |reason: String| RunError::Stream { stream: path.to_path_buf(), reason };
        match reader.next(stream) {
            Ok(Next::Record(record)) => engine
                .replay(now, &record)
                .map_err(|misfit| corrupt(format!("record at byte {offset}: {misfit}")))?,
            Ok(Next::End | Next::Torn(_)) => return Ok(offset),
            Err(error) => return Err(corrupt(error.to_string())),
        }
    }
}

pub(super) fn header(settings: &Settings, now: Now) -> RunnerHeader {
    let sandbox = settings.sandbox.display().to_string();
    RunnerHeader {
        task_id: Some(settings.task_id.clone()),
        launch_time_ms: Some(now.wall / 1000),
        log_dir: Some(settings.sandbox.join(".logs").display().to_string()),
        sandbox: Some(sandbox),
        hostname: Some(settings.hostname.clone()),
        user: Some(settings.user.name.clone()),
        uid: i32::try_from(settings.user.uid).ok(),
        ports: Some(settings.ports.clone()),
        ..RunnerHeader::default()
    }
}

/// Aurora configuration reference and the original as observed: exactly HOME, LOGNAME, USER and PATH;
/// with `--preserve_env` these on top of the runner's own.
pub(super) fn environment(settings: &Settings) -> Environment {
    let sandbox = settings.sandbox.display().to_string();
    let inside = settings.containerizer.as_ref().map(|c| c.sandbox.clone());
    let home = match &inside {
        Some(inside) => inside.clone(),
        None if settings.chroot => settings.user.home.clone(),
        None => sandbox.clone(),
    };
    let profile = match &inside {
        Some(inside) => format!("{inside}/.thermos_profile"),
        None if settings.chroot => "/.thermos_profile".to_owned(),
        None => format!("{sandbox}/.thermos_profile"),
    };
    let mut variables: Vec<(String, String)> = Vec::new();
    if settings.preserve_env {
        variables.extend(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }));
    }
    let user = &settings.user.name;
    let path = std::env::var("PATH").ok();
    let own = [
        ("HOME", Some(&home)),
        ("LOGNAME", Some(user)),
        ("USER", Some(user)),
        ("PATH", path.as_ref()),
    ];
    for (name, value) in own {
        if let Some(value) = value {
            variables.retain(|(other, _)| other != name);
            variables.push((name.to_owned(), value.clone()));
        }
    }
    Environment::new(variables.iter().map(|(n, v)| (n.as_str(), v.as_str())), &profile)
}

pub(super) fn program(settings: &Settings, cmdline: &str) -> Result<Program, std::ffi::NulError> {
    const BASH: &str = "/bin/bash";
    let Some(containerizer) = &settings.containerizer else {
        return Program::new(BASH, &[BASH, "-c", cmdline]);
    };
    // Source: Mesos' containerizer helper, sub-command `launch`. The command is passed as JSON, so
    // no shell stands between it and bash.
    let helper = containerizer.path.display().to_string();
    let rootfs = containerizer.rootfs.display().to_string();
    let command = serde_json::json!({
        "shell": false,
        "value": BASH,
        "arguments": [BASH, "-c", cmdline],
    });
    let user = &settings.user.name;
    let mut arguments =
        vec![helper.clone(), "launch".to_owned(), "--unshare_namespace_mnt".to_owned()];
    if containerizer.takes_launch_info {
        let info = serde_json::json!({
            "rootfs": rootfs,
            "user": user,
            "working_directory": containerizer.sandbox,
            "command": command,
        });
        arguments.push(format!("--launch_info={info}"));
    } else {
        arguments.extend([
            format!("--working_directory={}", containerizer.sandbox),
            format!("--rootfs={rootfs}"),
            format!("--user={user}"),
            format!("--command={command}"),
        ]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Program::new(&helper, &arguments)
}

/// Each live run costs the runner one descriptor. Returns the limit that processes get back.
pub(super) fn raise_open_files() -> Option<(u64, u64)> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let (Some(soft), Some(hard)) = (limit.current, limit.maximum) else { return None };
    let raised = Rlimit { current: Some(hard), maximum: Some(hard) };
    (soft < hard && rustix::process::setrlimit(Resource::Nofile, raised).is_ok())
        .then_some((soft, hard))
}
