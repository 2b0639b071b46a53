//! What is made ready before bash may start: directories, files, pipes, and the user.

#![deny(unsafe_code)]

use super::*;

/// What is ready when bash may start.
pub(super) struct Prepared {
    /// Standard output and error of bash; `None`: the coordinator's own.
    pub(super) files: Option<(OwnedFd, OwnedFd)>,
    /// What copies from the other ends of these.
    pub(super) relay: Option<Relay>,
    pub(super) has_profile: bool,
}

pub(super) fn prepare(launch: &Launch<'_>) -> Result<Prepared, Trouble> {
    let run_directory = make_log_directory(launch)?;
    let consoles = match launch.way {
        Way::Copy { console: true, .. } => Some(open_consoles(launch)?),
        _ => None,
    };
    rustix::process::fchdir(launch.sandbox).map_err(trouble("enter the sandbox"))?;
    if launch.chroot {
        rustix::process::chroot(c".").map_err(trouble("change the root to the sandbox"))?;
        rustix::process::chdir(c"/").map_err(trouble("enter the new root"))?;
    }
    if !launch.late_identity {
        become_user(launch)?;
    }
    let mut relay = None;
    let files = with_files_of_user(launch, || {
        Ok(match launch.way {
            Way::File => Some((
                open_log(run_directory.as_fd(), c"stdout").map_err(trouble(STDOUT))?,
                open_log(run_directory.as_fd(), c"stderr").map_err(trouble(STDERR))?,
            )),
            Way::Copy { limits, .. } => {
                let (made, ends) = make_relay(launch, run_directory, limits, consoles)?;
                relay = Some(made);
                Some(ends)
            }
            Way::Console | Way::Discard => None,
        })
    })?;
    // The coordinator itself neither reads nor writes these; it must not keep the runner's open.
    let _ = rustix::stdio::dup2_stdin(launch.null);
    if launch.way != Way::Console {
        let _ = rustix::stdio::dup2_stdout(launch.null);
        let _ = rustix::stdio::dup2_stderr(launch.null);
    }
    let has_profile = rustix::fs::accessat(
        launch.sandbox,
        c".thermos_profile",
        rustix::fs::Access::EXISTS,
        AtFlags::empty(),
    )
    .is_ok();
    Ok(Prepared { files, relay, has_profile })
}

/// Does something with files as whoever bash runs as, also where that user is not switched to yet.
fn with_files_of_user<T>(
    launch: &Launch<'_>,
    act: impl FnOnce() -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    match launch.identity {
        Some(identity) if launch.late_identity => {
            let gid = nix::unistd::setfsgid(identity.gid);
            let uid = nix::unistd::setfsuid(identity.uid);
            let done = act();
            nix::unistd::setfsuid(uid);
            nix::unistd::setfsgid(gid);
            done
        }
        _ => act(),
    }
}

/// What is tried when a log file is in trouble.
const STDOUT: &str = "open the log file stdout";
const STDERR: &str = "open the log file stderr";

/// The runner's own output and error, for copies of what bash writes.
fn open_consoles(launch: &Launch<'_>) -> Result<[Console; 2], Trouble> {
    let doing = "open the console";
    let (stdout, stderr) = standard_outputs();
    Ok([
        Console::open(stdout, launch.proc, c"self/fd/1").map_err(trouble(doing))?,
        Console::open(stderr, launch.proc, c"self/fd/2").map_err(trouble(doing))?,
    ])
}

/// Makes the pipes, the copier, and returns it with the ends that are bash's.
///
/// The pipes belong to whom bash runs as, so that it can open `/dev/stdout`.
fn make_relay(
    launch: &Launch<'_>,
    run_directory: OwnedFd,
    limits: Option<logs::Limits>,
    consoles: Option<[Console; 2]>,
) -> Result<(Relay, (OwnedFd, OwnedFd)), Trouble> {
    let doing = "make the pipes for the logs";
    let directory = Directory::new(run_directory, launch.sandbox, launch.name, launch.run)
        .map_err(trouble(doing))?;
    let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(trouble(doing));
    let [stdout_console, stderr_console] = match consoles {
        Some([stdout, stderr]) => [Some(stdout), Some(stderr)],
        None => [None, None],
    };
    let (stdout_read, stdout) = pipe()?;
    let (stderr_read, stderr) = pipe()?;
    let channels = [
        Channel::new(&directory, logs::Output::Stdout, stdout_read, limits, stdout_console)
            .map_err(trouble(STDOUT))?,
        Channel::new(&directory, logs::Output::Stderr, stderr_read, limits, stderr_console)
            .map_err(trouble(STDERR))?,
    ];
    Ok((Relay::new(directory, channels), (stdout, stderr)))
}

/// Makes `.logs/PROCESS/RUN` in the sandbox; the last one belongs to the task's user.
///
/// The sandbox is the user's: a link at any of the three names is an error, and only a directory that
/// was made here changes its owner.
fn make_log_directory(launch: &Launch<'_>) -> Result<OwnedFd, Trouble> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = |parent: BorrowedFd<'_>, name: &CStr, doing| -> Result<(OwnedFd, bool), Trouble> {
        let made = match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o777)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(Trouble { doing, errno }),
        };
        let fd = rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(trouble(doing))?;
        Ok((fd, made))
    };
    let (logs, _) = open(launch.sandbox, c".logs", "make the directory .logs in the sandbox")?;
    let doing = "make the log directory of the process";
    let (process, _) = open(logs.as_fd(), launch.name, doing)?;
    let doing = "make the log directory of the run";
    let (run, made) = open(process.as_fd(), launch.run, doing)?;
    if let Some(identity) = launch.identity
        && made
    {
        // The name could have been exchanged between making and opening. Something that is not
        // ours or not fresh is left alone; the user then sees what he did.
        let stat = rustix::fs::fstat(&run).map_err(trouble(doing))?;
        if stat.st_uid == rustix::process::geteuid().as_raw() && stat.st_nlink <= 2 {
            nix::unistd::fchown(&run, Some(identity.uid), Some(identity.gid))
                .map_err(trouble_nix("give the log directory of the run to the user"))?;
        }
    }
    Ok(run)
}

pub(super) fn become_user(launch: &Launch<'_>) -> Result<(), Trouble> {
    let Some(identity) = launch.identity else { return Ok(()) };
    nix::unistd::setgroups(&identity.groups).map_err(trouble_nix("set the user's groups"))?;
    nix::unistd::setgid(identity.gid).map_err(trouble_nix("set the user's group"))?;
    nix::unistd::setuid(identity.uid).map_err(trouble_nix("become the user"))?;
    Ok(())
}
