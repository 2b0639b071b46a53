//! Time and CPU: ordered chains, parallel processes, the gap between one process and the next, and
//! how all that grows with the number of processes.

use crate::report::{Spread, Table, ms, percentile, ratio, sorted, us};
use crate::subject::{Bench, Sample, Shape, Subject};
use crate::{Result, Sizes};

pub(crate) fn chain(bench: &mut Bench, sizes: &Sizes) -> Result<()> {
    compare(bench, Shape::Chain, sizes.chain, sizes.runs)
}

pub(crate) fn parallel(bench: &mut Bench, sizes: &Sizes) -> Result<()> {
    compare(bench, Shape::Parallel, sizes.parallel, sizes.runs)
}

/// The runner against both floors. The subjects take turns, so that a change of the machine's load
/// meets all of them.
fn compare(bench: &mut Bench, shape: Shape, count: usize, runs: usize) -> Result<()> {
    let mut samples = Subject::ALL.map(|subject| (subject, Vec::new()));
    for _ in 0..runs {
        for (subject, samples) in &mut samples {
            samples.push(bench.measure(*subject, shape, count)?);
        }
    }
    let measured = samples.map(|(subject, samples)| (subject, Cost::of(&samples)));
    let [_, (_, a), (_, b)] = &measured;
    let mut table = Table::new(
        &format!("{}: {count} × `true`, {runs} runs", shape.name()),
        &[
            "wall ms median",
            "min",
            "max",
            "µs/process",
            "× A",
            "× B",
            "CPU ms median",
            "min",
            "max",
            "µs/process",
            "× A",
            "× B",
        ],
    );
    for (subject, cost) in &measured {
        let cells = [(cost.wall, a.wall, b.wall), (cost.cpu, a.cpu, b.cpu)];
        table.row(
            subject.name(),
            cells.into_iter().flat_map(|(it, a, b)| {
                [
                    ms(it.median),
                    ms(it.min),
                    ms(it.max),
                    us(it.median / count as f64),
                    ratio(it.median, a.median),
                    ratio(it.median, b.median),
                ]
            }),
        );
    }
    table.print();
    Ok(())
}

struct Cost {
    wall: Spread,
    cpu: Spread,
}

impl Cost {
    fn of(samples: &[Sample]) -> Cost {
        Cost {
            wall: Spread::of_times(samples.iter().map(|sample| sample.wall)),
            cpu: Spread::of_times(samples.iter().map(|sample| sample.cpu)),
        }
    }
}

/// From the recorded end of a process to the recorded start of the next in the order.
pub(crate) fn latency(bench: &mut Bench, sizes: &Sizes) -> Result<()> {
    let mut gaps = [Subject::Runner, Subject::FloorA].map(|subject| (subject, Vec::new()));
    for _ in 0..sizes.runs {
        for (subject, gaps) in &mut gaps {
            gaps.extend(bench.measure(*subject, Shape::Chain, sizes.chain)?.gaps);
        }
    }
    let gaps = gaps.map(|(subject, gaps)| (subject, sorted(gaps)));
    let shares = [0.5, 0.99, 1.0];
    let floor = shares.map(|share| percentile(&gaps[1].1, share));
    let mut table = Table::new(
        &format!("latency: end to next start, {} links", gaps[0].1.len()),
        &["µs min", "p50", "p99", "max", "p50 × A", "p99 × A", "max × A"],
    );
    for (subject, gaps) in &gaps {
        let own = shares.map(|share| percentile(gaps, share));
        let ratios = own.iter().zip(floor).map(|(own, floor)| ratio(*own, floor));
        let raw = [percentile(gaps, 0.0)].into_iter().chain(own).map(us);
        table.row(subject.name(), raw.chain(ratios));
    }
    table.print();
    Ok(())
}

/// Wall time and CPU per process while their number grows: constant where the cost is linear.
pub(crate) fn scaling(bench: &mut Bench, sizes: &Sizes) -> Result<()> {
    for shape in [Shape::Chain, Shape::Parallel] {
        let mut table = Table::new(
            &format!("scaling: {}, per process", shape.name()),
            &["N", "wall µs median", "min", "max", "× first", "× A", "CPU µs", "× first", "× A"],
        );
        let mut first: Option<(f64, f64)> = None;
        for &count in sizes.scaling {
            // The large ones are long enough to be their own average.
            let runs = if count > 1000 { 1 } else { sizes.runs.min(3) };
            let (mut own, mut floor) = (Vec::new(), Vec::new());
            for _ in 0..runs {
                own.push(bench.measure(Subject::Runner, shape, count)?);
                floor.push(bench.measure(Subject::FloorA, shape, count)?);
            }
            let (own, floor) = (Cost::of(&own), Cost::of(&floor));
            let each = |seconds: f64| seconds / count as f64;
            let (wall, cpu) = (each(own.wall.median), each(own.cpu.median));
            let (first_wall, first_cpu) = *first.get_or_insert((wall, cpu));
            table.row(
                Subject::Runner.name(),
                [
                    count.to_string(),
                    us(wall),
                    us(each(own.wall.min)),
                    us(each(own.wall.max)),
                    ratio(wall, first_wall),
                    ratio(own.wall.median, floor.wall.median),
                    us(cpu),
                    ratio(cpu, first_cpu),
                    ratio(own.cpu.median, floor.cpu.median),
                ],
            );
        }
        table.print();
    }
    Ok(())
}
