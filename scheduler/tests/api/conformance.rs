//! The behaviour that clients rely on, line by line of its list ("Scheduler RPC").

use aurora_api::api::aurora_admin as admin;
use aurora_api::api::aurora_scheduler_manager as manage;
use aurora_api::api::read_only_scheduler as read;
use aurora_api::api::{self, Response, ResponseCode, Result as Arm, ScheduleStatus};
use tempfile::TempDir;

use crate::server::{Cluster, Server};
use crate::{create, get_tasks, is_running, job, key, kill, query, some, tasks, told};

fn server(cluster: Cluster) -> (TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), cluster, &[]);
    (dir, server)
}

fn edited(edit: impl FnOnce(&mut api::JobConfiguration)) -> api::JobConfiguration {
    let mut job = job("a", 1);
    edit(&mut job);
    job
}

fn add(server: &Server, name: &str, instance: i32, count: i32) -> Response {
    server.call::<manage::AddInstances>(manage::AddInstancesArgs {
        key: Some(api::InstanceKey {
            job_key: Some(key(name)),
            instance_id: Some(instance),
            ..Default::default()
        }),
        count: Some(count),
        ..Default::default()
    })
}

fn restart(server: &Server, name: &str, instances: &[i32]) -> Response {
    server.call::<manage::RestartShards>(manage::RestartShardsArgs {
        job: Some(key(name)),
        shard_ids: Some(instances.iter().copied().collect()),
        ..Default::default()
    })
}

fn counter(server: &Server, name: &str) -> u64 {
    server.json("/vars.json").get(name).and_then(|value| value.as_u64()).unwrap_or(0)
}

#[test]
fn line_1_create_job() {
    let (_dir, server) = server(Cluster::Empty);
    assert_eq!(told(&create(&server, job("a", 2))), "OK");
    for (job, text) in [
        (job("a", 2), "INVALID_REQUEST Job www/prod/a already exists"),
        (
            edited(|job| job.cron_schedule = some("")),
            "INVALID_REQUEST Cron jobs may only be created/updated by calling scheduleCronJob.",
        ),
        (
            edited(|job| job.instance_count = Some(4001)),
            "INVALID_REQUEST Job www/prod/a already exists",
        ),
        (job("b", 4001), "INVALID_REQUEST Instance count must be between 1 and 4000 inclusive."),
        (job("b", 0), "INVALID_REQUEST Instance count must be positive."),
        (job("b", -1), "INVALID_REQUEST Instance count must be positive."),
        (
            edited(|job| job.task_config.as_mut().unwrap().resources = None),
            "INVALID_REQUEST num_cpus must be greater than 0.0",
        ),
        (
            edited(|job| job.task_config.as_mut().unwrap().executor_config = None),
            "INVALID_REQUEST Configuration may not be null.",
        ),
        (
            edited(|job| job.task_config = None),
            "INVALID_REQUEST Job configuration must have taskConfig set.",
        ),
    ] {
        assert_eq!(told(&create(&server, job)), text);
    }
    let created = tasks(&get_tasks(&server, query("a")));
    assert_eq!(created.len(), 2);
    for task in created {
        let events = task.task_events.unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].status, Some(ScheduleStatus::PENDING));
        let config = task.assigned_task.unwrap().task.unwrap();
        // Defaults are populated.
        assert_eq!(config.tier.as_deref(), Some("preemptible"));
        assert_eq!(config.production, Some(false));
    }
    let args = manage::CreateJobArgs::default();
    assert!(told(&server.call::<manage::CreateJob>(args)).starts_with("ERROR "));
}

#[test]
fn line_2_workload_counters_change_on_success_only() {
    let (_dir, server) = server(Cluster::Empty);
    assert_eq!(
        told(&create(&server, job("b", -1))),
        "INVALID_REQUEST Instance count must be positive."
    );
    assert_eq!(counter(&server, "thrift_workload_createJob"), 0);
    create(&server, job("a", 3));
    assert_eq!(counter(&server, "thrift_workload_createJob"), 3);
    kill(&server, "a", &[0, 1], None);
    assert_eq!(counter(&server, "thrift_workload_killTasks"), 2);
    get_tasks(&server, query("a"));
    assert_eq!(counter(&server, "scheduler_thrift_workload_getTasksStatus"), 1);
}

#[test]
fn line_3_kill_tasks() {
    let (_dir, server) = server(Cluster::Obedient);
    create(&server, job("a", 4));
    server.wait_for("tasks to run", |s| is_running(s, "a", 4));
    assert_eq!(told(&kill(&server, "a", &[1, 3], Some("by hand"))), "OK");
    server.wait_for("kills", |s| s.count("a", ScheduleStatus::KILLED) == 2);
    // An empty set, which is there, means all of them as well.
    let args = manage::KillTasksArgs {
        job: Some(key("a")),
        instances: Some([].into()),
        message: some(""),
        ..Default::default()
    };
    assert_eq!(told(&server.call_json::<manage::KillTasks>(args)), "OK");
    server.wait_for("kills", |s| s.count("a", ScheduleStatus::KILLED) == 4);
    assert_eq!(told(&kill(&server, "a", &[], None)), "OK No tasks to kill.");
    assert_eq!(told(&kill(&server, "none", &[], None)), "OK No tasks to kill.");
    let missing = server.call::<manage::KillTasks>(Default::default());
    assert_eq!(told(&missing), "ERROR Job key null is invalid.");
    let texts: Vec<_> = tasks(&get_tasks(&server, query("a")))
        .into_iter()
        .flat_map(|task| task.task_events.unwrap())
        .filter(|event| event.status == Some(ScheduleStatus::KILLING))
        .filter_map(|event| event.message)
        .collect();
    let with = texts.iter().filter(|text| *text == "Killed by UNSECURE.\nby hand").count();
    let without = texts.iter().filter(|text| *text == "Killed by UNSECURE").count();
    assert_eq!((with, without, texts.len()), (2, 2, 4));
}

#[test]
fn line_4_prune_tasks() {
    let (_dir, server) = server(Cluster::Obedient);
    create(&server, job("a", 5));
    server.wait_for("tasks to run", |s| is_running(s, "a", 5));
    kill(&server, "a", &[0, 1, 2, 3], None);
    server.wait_for("kills", |s| s.count("a", ScheduleStatus::KILLED) == 4);
    let prune = |query| {
        let args = admin::PruneTasksArgs { query: Some(query), ..Default::default() };
        told(&server.call::<admin::PruneTasks>(args))
    };
    let statuses = |statuses: &[ScheduleStatus]| api::TaskQuery {
        statuses: Some(statuses.iter().copied().collect()),
        ..query("a")
    };
    let error = "ERROR Tasks in non-terminal state cannot be pruned.";
    assert_eq!(prune(statuses(&[ScheduleStatus::RUNNING])), error);
    assert_eq!(prune(statuses(&[ScheduleStatus::RUNNING, ScheduleStatus::KILLED])), error);
    assert_eq!(prune(api::TaskQuery { limit: Some(1), ..query("a") }), "OK");
    assert_eq!(server.count("a", ScheduleStatus::KILLED), 3);
    assert_eq!(prune(statuses(&[ScheduleStatus::LOST])), "OK");
    assert_eq!(server.count("a", ScheduleStatus::KILLED), 3);
    assert_eq!(prune(query("a")), "OK");
    assert_eq!(tasks(&get_tasks(&server, query("a"))).len(), 1);
    assert!(is_running(&server, "a", 1));
}

#[test]
fn line_6_backups_are_not_there() {
    let (_dir, server) = server(Cluster::Empty);
    let missing = "INVALID_REQUEST Backups are not supported by this version of the scheduler.";
    assert_eq!(told(&server.call::<admin::PerformBackup>(Default::default())), missing);
    assert_eq!(told(&server.call::<admin::StageRecovery>(Default::default())), missing);
    let list = server.call::<admin::ListBackups>(Default::default());
    assert!(
        matches!(list.result, Some(Arm::ListBackupsResult(list)) if list.backups == Some([].into()))
    );
    let none = "ERROR No backup loaded.";
    assert_eq!(told(&server.call::<admin::QueryRecovery>(Default::default())), none);
    assert_eq!(told(&server.call::<admin::CommitRecovery>(Default::default())), none);
    assert_eq!(told(&server.call::<admin::DeleteRecoveryTasks>(Default::default())), none);
    assert_eq!(told(&server.call::<admin::UnloadRecovery>(Default::default())), "OK");
}

#[test]
fn line_7_restart_shards() {
    let (_dir, server) = server(Cluster::Obedient);
    create(&server, job("a", 2));
    server.wait_for("tasks to run", |s| is_running(s, "a", 2));
    let not_active = "INVALID_REQUEST Not all requested shards are active.";
    assert_eq!(told(&restart(&server, "a", &[0, 2])), not_active);
    assert_eq!(told(&restart(&server, "none", &[0])), not_active);
    assert_eq!(told(&restart(&server, "a", &[])), "ERROR At least one shard must be specified.");
    assert_eq!(told(&restart(&server, "a", &[0])), "OK");
    server.wait_for("a new run", |s| {
        s.count("a", ScheduleStatus::KILLED) == 1 && is_running(s, "a", 2)
    });
    let restarted = tasks(&get_tasks(&server, query("a"))).into_iter().any(|task| {
        let text = Some("Restarted by UNSECURE".to_owned());
        task.task_events.unwrap().iter().any(|event| event.message == text)
    });
    assert!(restarted);
}

#[test]
fn line_8_cron_jobs_are_not_there() {
    let (_dir, server) = server(Cluster::Empty);
    let missing = "INVALID_REQUEST Cron jobs are not supported by this version of the scheduler.";
    let cron = |schedule: Option<&str>| {
        let mut job = job("a", 1);
        job.task_config.as_mut().unwrap().is_service = Some(false);
        job.cron_schedule = schedule.map(str::to_owned);
        let args = manage::ScheduleCronJobArgs { description: Some(job), ..Default::default() };
        told(&server.call::<manage::ScheduleCronJob>(args))
    };
    assert_eq!(cron(Some("* * * * *")), missing);
    assert_eq!(cron(None), "INVALID_REQUEST Job www/prod/a has no cron schedule");
    let args = manage::DescheduleCronJobArgs { job: Some(key("a")), ..Default::default() };
    let response = server.call::<manage::DescheduleCronJob>(args);
    assert_eq!(told(&response), "OK Job www/prod/a is not scheduled with cron");
    let args = manage::StartCronJobArgs { job: Some(key("a")), ..Default::default() };
    let text = told(&server.call::<manage::StartCronJob>(args));
    assert!(text.starts_with("INVALID_REQUEST Failed to start cron job - "), "{text}");
}

#[test]
fn line_9_maintenance_can_be_looked_at() {
    let (_dir, server) = server(Cluster::Obedient);
    server.wait_for("hosts", |s| counter(s, "mem_storage_attribute_size") == 4);
    let hosts = ["agent-0.example", "nowhere"].map(str::to_owned);
    let hosts = api::Hosts { host_names: Some(hosts.into()), ..Default::default() };
    let args = admin::MaintenanceStatusArgs { hosts: Some(hosts), ..Default::default() };
    let response = server.call::<admin::MaintenanceStatus>(args);
    let Some(Arm::MaintenanceStatusResult(result)) = response.result else { panic!() };
    let statuses: Vec<_> = result.statuses.into_iter().flatten().collect();
    assert_eq!(statuses.len(), 1);
    assert_eq!(statuses[0].host.as_deref(), Some("agent-0.example"));
    assert_eq!(statuses[0].mode, Some(api::MaintenanceMode::NONE));
    let text = told(&server.call::<admin::DrainHosts>(Default::default()));
    assert!(text.starts_with("INVALID_REQUEST Maintenance"), "{text}");
}

#[test]
fn line_10_reconciliation() {
    let (_dir, server) = server(Cluster::Obedient);
    create(&server, job("a", 5));
    server.wait_for("tasks to run", |s| is_running(s, "a", 5));
    let explicit = |batch_size: Option<i32>| {
        let settings = api::ExplicitReconciliationSettings { batch_size, ..Default::default() };
        told(&server.call::<admin::TriggerExplicitTaskReconciliation>(
            admin::TriggerExplicitTaskReconciliationArgs {
                settings: Some(settings),
                ..Default::default()
            },
        ))
    };
    let error = "INVALID_REQUEST Batch size must be greater than zero.";
    assert_eq!(explicit(Some(0)), error);
    assert_eq!(explicit(Some(-1)), error);
    assert_eq!(explicit(None), "OK");
    server.wait_for("a question", |s| s.seen.lock().unwrap().reconciled == [5]);
    let implicit = server.call::<admin::TriggerImplicitTaskReconciliation>(Default::default());
    assert_eq!(told(&implicit), "OK");
    server.wait_for("a question", |s| s.seen.lock().unwrap().reconciled == [5, 0]);
}

#[test]
fn line_11_add_instances() {
    let (_dir, server) = server(Cluster::Obedient);
    create(&server, job("a", 2));
    server.wait_for("tasks to run", |s| is_running(s, "a", 2));
    let none = "INVALID_REQUEST No active task found for a given instance ID.";
    let not_positive = "INVALID_REQUEST Instance count must be positive.";
    assert_eq!(told(&add(&server, "a", 2, 1)), none);
    assert_eq!(told(&add(&server, "none", 0, 1)), none);
    assert_eq!(told(&add(&server, "a", 0, 0)), not_positive);
    assert_eq!(told(&add(&server, "a", 0, -1)), not_positive);
    let limit = "INVALID_REQUEST Instance count must be between 1 and 4000 inclusive.";
    assert_eq!(told(&add(&server, "a", 0, 3999)), limit);
    assert_eq!(told(&add(&server, "a", 0, 3)), "OK");
    server.wait_for("tasks to run", |s| is_running(s, "a", 5));
    let mut instances: Vec<_> = tasks(&get_tasks(&server, query("a")))
        .into_iter()
        .map(|task| task.assigned_task.unwrap().instance_id.unwrap())
        .collect();
    instances.sort_unstable();
    assert_eq!(instances, [0, 1, 2, 3, 4]);
}

#[test]
fn line_12_13_14_updates_are_not_there() {
    let (_dir, server) = server(Cluster::Empty);
    let missing = "INVALID_REQUEST Job updates are not supported by this version of the scheduler.";
    let update = api::JobUpdateKey { job: Some(key("a")), id: some("u"), ..Default::default() };
    let request = |service: bool| {
        let mut config = job("a", 1).task_config.unwrap();
        config.is_service = Some(service);
        let request = api::JobUpdateRequest {
            task_config: Some(config),
            instance_count: Some(1),
            ..Default::default()
        };
        let args = manage::StartJobUpdateArgs { request: Some(request), ..Default::default() };
        told(&server.call::<manage::StartJobUpdate>(args))
    };
    assert_eq!(request(true), missing);
    let text = "INVALID_REQUEST Updates are not supported for non-service tasks.";
    assert_eq!(request(false), text);
    let pause = |message: String| {
        told(&server.call::<manage::PauseJobUpdate>(manage::PauseJobUpdateArgs {
            key: Some(update.clone()),
            message: Some(message),
            ..Default::default()
        }))
    };
    assert_eq!(pause("x".repeat(1024)), missing);
    assert!(pause("x".repeat(1025)).starts_with("ERROR Message is too long"));
    let args = manage::PulseJobUpdateArgs { key: Some(update), ..Default::default() };
    let pulsed = server.call::<manage::PulseJobUpdate>(args);
    let Some(Arm::PulseJobUpdateResult(result)) = pulsed.result else { panic!() };
    assert_eq!(result.status, Some(api::JobUpdatePulseStatus::FINISHED));
}

#[test]
fn line_16_22_summaries() {
    let (_dir, server) = server(Cluster::Obedient);
    create(&server, job("a", 3));
    create(&server, job("b", 1));
    server.wait_for("tasks to run", |s| is_running(s, "a", 3) && is_running(s, "b", 1));
    kill(&server, "a", &[0], None);
    kill(&server, "b", &[], None);
    server.wait_for("kills", |s| s.count("b", ScheduleStatus::KILLED) == 1);
    server.wait_for("kills", |s| s.count("a", ScheduleStatus::KILLED) == 1);

    let summary = |role: Option<&str>| {
        let args = read::GetJobSummaryArgs { role: role.map(str::to_owned), ..Default::default() };
        match server.call::<read::GetJobSummary>(args).result {
            Some(Arm::JobSummaryResult(result)) => result.summaries.unwrap(),
            other => panic!("{other:?}"),
        }
    };
    let found: Vec<_> = summary(Some("www"))
        .into_iter()
        .map(|summary| {
            let (job, stats) = (summary.job.unwrap(), summary.stats.unwrap());
            let name = job.key.unwrap().name.unwrap();
            let active = stats.active_task_count.unwrap();
            (name, job.instance_count.unwrap(), active, stats.finished_task_count.unwrap())
        })
        .collect();
    assert_eq!(found, [("a".to_owned(), 3, 2, 1), ("b".to_owned(), 1, 0, 1)]);
    assert_eq!(summary(None).len(), 2);
    assert_eq!(summary(Some("other")).len(), 0);

    let jobs = |role: Option<&str>| {
        let args = read::GetJobsArgs { owner_role: role.map(str::to_owned), ..Default::default() };
        match server.call_json::<read::GetJobs>(args).result {
            Some(Arm::GetJobsResult(result)) => result.configs.unwrap().len(),
            other => panic!("{other:?}"),
        }
    };
    // Without those that have ended; one client asks for all with an empty role.
    assert_eq!((jobs(Some("www")), jobs(None), jobs(Some("")), jobs(Some("x"))), (1, 1, 1, 0));

    let roles = server.call::<read::GetRoleSummary>(Default::default());
    let Some(Arm::RoleSummaryResult(result)) = roles.result else { panic!() };
    let roles: Vec<_> = result.summaries.into_iter().flatten().collect();
    assert_eq!(roles.len(), 1);
    assert_eq!((roles[0].job_count, roles[0].cron_job_count), (Some(2), Some(0)));

    let tiers = server.call::<read::GetTierConfigs>(Default::default());
    let Some(Arm::GetTierConfigResult(result)) = tiers.result else { panic!() };
    assert_eq!(result.default_tier_name.as_deref(), Some("preemptible"));
    assert_eq!(result.tiers.unwrap().len(), 3);
}

#[test]
fn line_17_pending_reason() {
    let (_dir, server) = server(Cluster::Obedient);
    let mut picky = job("a", 1);
    let config = picky.task_config.as_mut().unwrap();
    let value =
        api::ValueConstraint { values: Some([some("z").unwrap()].into()), ..Default::default() };
    config.constraints = Some(
        [api::Constraint {
            name: some("rack"),
            constraint: Some(api::TaskConstraint::Value(value)),
            ..Default::default()
        }]
        .into(),
    );
    create(&server, picky);
    let reason = |query: api::TaskQuery| {
        let args = read::GetPendingReasonArgs { query: Some(query), ..Default::default() };
        server.call::<read::GetPendingReason>(args)
    };
    server.wait_for("a reason", |_| match reason(query("a")).result {
        Some(Arm::GetPendingReasonResult(result)) => {
            let reasons: Vec<_> =
                result.reasons.unwrap().into_iter().filter_map(|r| r.reason).collect();
            reasons == ["Constraint not satisfied: rack"]
        }
        other => panic!("{other:?}"),
    });
    let statuses = Some([ScheduleStatus::PENDING].into());
    let text = told(&reason(api::TaskQuery { statuses, ..query("a") }));
    assert!(text.starts_with("INVALID_REQUEST Statuses or slaveHosts"), "{text}");
    let slave_hosts = Some([some("h").unwrap()].into());
    let text = told(&reason(api::TaskQuery { slave_hosts, ..query("a") }));
    assert!(text.starts_with("INVALID_REQUEST Statuses or slaveHosts"), "{text}");
}

#[test]
fn line_18_pages_and_configs() {
    let (_dir, server) = server(Cluster::Empty);
    create(&server, job("a", 10));
    let mut pages = Vec::new();
    for offset in (0..12).step_by(3) {
        let page = api::TaskQuery { offset: Some(offset), limit: Some(3), ..query("a") };
        let page = tasks(&get_tasks(&server, page)).into_iter();
        pages.extend(page.map(|task| task.assigned_task.unwrap().instance_id.unwrap()));
    }
    assert_eq!(pages, (0..10).collect::<Vec<_>>());
    // 0 is no limit, and an empty set restricts nothing.
    let all = api::TaskQuery {
        offset: Some(0),
        limit: Some(0),
        statuses: Some([].into()),
        instance_ids: Some([].into()),
        ..query("a")
    };
    assert_eq!(tasks(&get_tasks(&server, all)).len(), 10);
    let args = read::GetTasksWithoutConfigsArgs { query: Some(query("a")), ..Default::default() };
    for task in tasks(&server.call::<read::GetTasksWithoutConfigs>(args)) {
        let executor = task.assigned_task.unwrap().task.unwrap().executor_config.unwrap();
        assert_eq!((executor.name.as_deref(), executor.data), (Some("AuroraExecutor"), None));
    }
}

#[test]
fn line_19_config_summary() {
    let (_dir, server) = server(Cluster::Empty);
    create(&server, job("a", 5));
    kill(&server, "a", &[2], None);
    let summary = |name: &str| {
        let args = read::GetConfigSummaryArgs { job: Some(key(name)), ..Default::default() };
        match server.call::<read::GetConfigSummary>(args).result {
            Some(Arm::ConfigSummaryResult(result)) => result.summary.unwrap().groups.unwrap(),
            other => panic!("{other:?}"),
        }
    };
    let groups = summary("a");
    assert_eq!(groups.len(), 1);
    let ranges = groups.into_iter().next().unwrap().instances.unwrap();
    let ranges: Vec<_> = ranges.iter().map(|r| (r.first.unwrap(), r.last.unwrap())).collect();
    assert_eq!(ranges, [(0, 1), (3, 4)]);
    assert!(summary("none").is_empty());
}

#[test]
fn line_20_update_details() {
    let (_dir, server) = server(Cluster::Empty);
    let id = api::JobUpdateKey { job: Some(key("a")), id: some("u"), ..Default::default() };
    let by = |key: Option<api::JobUpdateKey>, query: Option<api::JobUpdateQuery>| {
        let args = read::GetJobUpdateDetailsArgs { key, query, ..Default::default() };
        server.call::<read::GetJobUpdateDetails>(args)
    };
    assert_eq!(told(&by(Some(id.clone()), None)), "INVALID_REQUEST Invalid update: www/prod/a/u");
    assert!(told(&by(None, None)).starts_with("ERROR "));
    // Clients send both.
    let both = by(Some(id), Some(api::JobUpdateQuery::default()));
    let Some(Arm::GetJobUpdateDetailsResult(result)) = both.result else { panic!() };
    assert_eq!(result.details_list, Some(vec![]));
}

#[test]
fn line_21_update_diff() {
    let (_dir, server) = server(Cluster::Empty);
    create(&server, job("a", 4));
    let diff = |count: i32, edit: &dyn Fn(&mut api::TaskConfig), only: &[(i32, i32)]| {
        let mut config = job("a", 1).task_config.unwrap();
        edit(&mut config);
        let range = |(first, last): &(i32, i32)| api::Range {
            first: Some(*first),
            last: Some(*last),
            ..Default::default()
        };
        let only = (!only.is_empty()).then(|| only.iter().map(range).collect());
        let settings =
            api::JobUpdateSettings { update_only_these_instances: only, ..Default::default() };
        let request = api::JobUpdateRequest {
            task_config: Some(config),
            instance_count: Some(count),
            settings: Some(settings),
            ..Default::default()
        };
        let args = read::GetJobUpdateDiffArgs { request: Some(request), ..Default::default() };
        let result = server.call::<read::GetJobUpdateDiff>(args).result;
        let Some(Arm::GetJobUpdateDiffResult(result)) = result else { panic!("{result:?}") };
        [result.add, result.remove, result.update, result.unchanged].map(|groups| {
            let ranges = groups.into_iter().flatten().flat_map(|group| group.instances.unwrap());
            ranges.map(|r| (r.first.unwrap(), r.last.unwrap())).collect::<Vec<_>>()
        })
    };
    let none: Vec<(i32, i32)> = Vec::new();
    let same = |_: &mut api::TaskConfig| {};
    let other = |config: &mut api::TaskConfig| config.priority = Some(7);
    assert_eq!(diff(4, &same, &[]), [none.clone(), none.clone(), none.clone(), vec![(0, 3)]]);
    assert_eq!(diff(6, &same, &[]), [vec![(4, 5)], none.clone(), none.clone(), vec![(0, 3)]]);
    assert_eq!(diff(2, &other, &[]), [none.clone(), vec![(2, 3)], vec![(0, 1)], none.clone()]);
    assert_eq!(diff(4, &other, &[(1, 2)]), [none.clone(), none.clone(), vec![(1, 2)], none]);
}

#[test]
fn line_23_before_it_leads() {
    let dir = tempfile::tempdir().unwrap();
    let first = Server::start(dir.path(), Cluster::Empty, &[]);
    // The log is taken: the second one serves and ends without having led.
    let mut second = Server::begin(dir.path(), Cluster::Empty, &[]);
    second.wait().unwrap_err();
    let args = read::GetJobsArgs::default();
    let outcome = second.site.api.message(
        aurora_scheduler::api::wire::Form::Json,
        br#"[1,"getJobs",1,0,{}]"#,
        aurora_scheduler::api::wire::Form::Json,
    );
    let answer = String::from_utf8(outcome.unwrap()).unwrap();
    assert!(answer.contains("Storage is not READY"), "{answer}");
    let response = first.call::<read::GetJobs>(args);
    assert_eq!(response.response_code, Some(ResponseCode::OK));
    assert!(response.server_info.is_some());
}

/// A union without a field is read by the original, and refused later.
#[test]
fn a_task_without_a_container() {
    let (_dir, server) = server(Cluster::Empty);
    let call = br#"[1,"createJob",1,5,{"1":{"rec":{"6":{"rec":{"29":{"rec":{}}}}}}}]"#;
    let (status, _, body) = server.post("/api", "", call);
    let body = String::from_utf8(body).unwrap();
    assert_eq!(status, 200);
    assert!(body.starts_with(r#"[1,"createJob",2,5,{"0":{"rec":{"1":{"i32":0}"#), "{body}");
    assert!(body.contains("A job must have a container type."), "{body}");
}

#[test]
fn quota_is_what_runs() {
    let (_dir, server) = server(Cluster::Empty);
    create(&server, job("a", 5));
    let mut production = job("b", 2);
    production.task_config.as_mut().unwrap().tier = some("preferred");
    create(&server, production);
    let args = read::GetQuotaArgs { owner_role: some("www"), ..Default::default() };
    let response = server.call::<read::GetQuota>(args);
    let Some(Arm::GetQuotaResult(result)) = response.result else { panic!() };
    let amounts = |aggregate: Option<api::ResourceAggregate>| {
        let resources = aggregate.unwrap().resources.unwrap();
        let (mut cpus, mut ram) = (-1.0, -1);
        for resource in resources {
            match resource {
                api::Resource::NumCpus(number) => cpus = number.0,
                api::Resource::RamMb(mb) => ram = mb,
                _ => {}
            }
        }
        (cpus, ram)
    };
    assert_eq!(amounts(result.quota), (0.0, 0));
    assert_eq!(amounts(result.prod_shared_consumption), (0.2, 32));
    assert_eq!(amounts(result.non_prod_shared_consumption), (0.5, 80));
    assert_eq!(amounts(result.prod_dedicated_consumption), (0.0, 0));
    let args = read::GetQuotaArgs { owner_role: some(" "), ..Default::default() };
    assert!(told(&server.call::<read::GetQuota>(args)).starts_with("ERROR "));
}

#[test]
fn force_task_state() {
    let (_dir, server) = server(Cluster::Obedient);
    create(&server, job("a", 1));
    server.wait_for("the task to run", |s| is_running(s, "a", 1));
    let id = tasks(&get_tasks(&server, query("a")))[0].assigned_task.clone().unwrap().task_id;
    let force = |task_id: Option<String>, status| {
        let status = Some(status);
        let args = admin::ForceTaskStateArgs { task_id, status, ..Default::default() };
        told(&server.call::<admin::ForceTaskState>(args))
    };
    assert_eq!(force(id, ScheduleStatus::LOST), "OK");
    assert_eq!(force(some("unknown"), ScheduleStatus::LOST), "OK");
    let all = tasks(&get_tasks(&server, query("a")));
    let events = all.iter().flat_map(|task| task.task_events.iter().flatten());
    let text = Some("Transition forced by UNSECURE".to_owned());
    assert!(events.clone().any(|event| event.message == text));
    server.wait_for("a new run", |s| is_running(s, "a", 1));
}
