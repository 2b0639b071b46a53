use super::record::RECORD_ROOM;
use super::*;
use aurora_api::thermos::{LogStatus, ProcessState, ProcessStatus, RunnerCkpt};
use thrift_wire::Double;

#[test]
fn hand_made_records_are_what_the_codec_writes() {
    let name = "x".repeat(MAX_NAME);
    for name in ["a", "ünï", &name] {
        let mut record = RecordBuffer::new(RecordBuffer::PROCESS_STATUS);
        record.i64(1, 7);
        record.string(3, name.as_bytes());
        record.i32(5, 2);
        record.double(6, 1_795_173_792.897_026);
        record.i32(7, 18330);
        record.double(8, 1.5);
        record.i32(9, -15);
        record.i64(101, 123_456);
        record.string(102, b"failed to x");
        let mut expected = Vec::new();
        crate::stream::frame(
            &RunnerCkpt::ProcessStatus(ProcessStatus {
                seq: Some(7),
                process: Some(name.to_owned()),
                state: Some(ProcessState::RUNNING),
                start_time: Some(Double(1_795_173_792.897_026)),
                pid: Some(18330),
                stop_time: Some(Double(1.5)),
                return_code: Some(-15),
                start_ticks: Some(123_456),
                reason: Some("failed to x".to_owned()),
                ..ProcessStatus::default()
            }),
            &mut expected,
        );
        assert_eq!(record.finish(), expected);
    }
}

#[test]
fn hand_made_reports_are_what_the_codec_writes() {
    let stream = tempfile::tempfile().unwrap();
    let (sandbox, null) = (std::fs::File::open("/").unwrap(), std::fs::File::open("/").unwrap());
    let program = Program::new("/bin/bash", &[]).unwrap();
    let environment = Environment::new([], "");
    let mut recorder = Recorder::new(
        &Launch {
            slot: 0,
            name: c"p",
            run: c"12",
            seq: 1,
            stream: stream.as_fd(),
            notes: null.as_fd(),
            sandbox: sandbox.as_fd(),
            proc: null.as_fd(),
            null: null.as_fd(),
            way: Way::Discard,
            identity: None,
            late_identity: false,
            chroot: false,
            program: &program,
            environment: &environment,
            open_files: None,
            heap: Heap::default(),
        },
        None,
    );
    recorder.log(Report {
        output: logs::Output::Stderr,
        received: 1 << 40,
        dropped: (7, Some(Errno::NOSPC)),
        console_dropped: Some((3, Some(Errno::AGAIN))),
    });
    recorder.log(Report {
        output: logs::Output::Stdout,
        received: 5,
        dropped: (0, None),
        console_dropped: None,
    });
    let mut reader = crate::stream::Reader::new();
    let mut next = || match reader.next(&stream).unwrap() {
        crate::stream::Next::Record(RunnerCkpt::LogStatus(mut status)) => {
            assert!(status.time.take().is_some_and(|time| time.0 > 1.7e9));
            status
        }
        other => panic!("{other:?}"),
    };
    let text = |text: &str| Some(text.to_owned());
    let expected = LogStatus {
        process: text("p"),
        run: Some(12),
        output: text("stderr"),
        received: Some(1 << 40),
        dropped: Some(7),
        reason: text("no space left on device"),
        console_dropped: Some(3),
        console_reason: text("nobody reads it"),
        ..LogStatus::default()
    };
    assert_eq!(next(), expected);
    let expected = LogStatus {
        process: text("p"),
        run: Some(12),
        output: text("stdout"),
        received: Some(5),
        dropped: Some(0),
        ..LogStatus::default()
    };
    assert_eq!(next(), expected);
}

#[test]
fn pages_can_be_given_back_and_used_again() {
    let mut pages = Pages::map(3 * 4096).unwrap();
    assert!(pages.iter().all(|byte| *byte == 0));
    pages[5000] = 7;
    pages.release();
    assert_eq!(pages[5000], 0);
    pages[12287] = 1;
    assert_eq!(pages.len(), 12288);
}

#[test]
fn the_longest_record_fits() {
    let mut record = RecordBuffer::new(RecordBuffer::PROCESS_STATUS);
    record.i64(1, i64::MAX);
    record.string(3, &[b'x'; MAX_NAME]);
    record.i32(5, 5);
    record.double(8, 0.0);
    record.i32(9, 126);
    record.string(102, &[b'r'; 256]);
    assert!(record.finish().len() < RECORD_ROOM);
}

#[test]
fn reasons() {
    let program = Program::new("/bin/bash", &["/bin/bash"]).unwrap();
    let reason = Reason::new(Trouble { doing: EXECUTE, errno: Errno::NOENT }, &program);
    assert_eq!(reason.text(), b"failed to execute /bin/bash: no such file or directory");
    let long = Program::new(&"p".repeat(1000), &[]).unwrap();
    assert_eq!(Reason::new(Trouble { doing: EXECUTE, errno: Errno::IO }, &long).text().len(), 256);
}

#[test]
fn notes() {
    for note in [
        Note { slot: 0, ended: false, leftovers: false },
        Note { slot: u32::MAX, ended: true, leftovers: true },
    ] {
        assert_eq!(Note::decode(&note.encode()), note);
    }
}
