//! `/graphview`: variables over time, drawn.
//!
//! The page has a form and a frame; the frame has the chart and loads itself again. There is no
//! script: what is drawn is computed here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Query, State};
use axum::response::Response;

use super::Shared;
use super::expression::Expression;
use super::pages::{escape, html};

/// Expressions in one chart.
const MAX_LINES: usize = 20;

/// Seconds after which a chart is drawn again.
const REFRESH: u32 = 2;

/// Width and height of the chart, in its own units.
const SIZE: (f64, f64) = (1000.0, 400.0);

/// Colours of the lines, in turns.
const COLOURS: [&str; 6] = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#555555"];

/// `/graphview?query=EXPRESSIONS&period=SECONDS`: the page. There is one expression in each line.
pub(super) async fn page(
    State(site): Shared,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let field = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let (lines, period) = (field("query"), field("period"));
    let mut page = format!(
        "<!doctype html><title>Graph</title><h1>Graph</h1><form><p><textarea name=query rows=4 \
         cols=100>\n{}</textarea><p>Last <input name=period size=6 value=\"{}\"> seconds \
         <button>Draw</button></form><p>An expression in each line: variables, numbers, + - * /, \
         parentheses, abs(x), ceil(x), floor(x), log(x), rate(x), rate(samples, x), round(x), \
         sqrt(x). Names with other characters stand in quotes.",
        escape(lines),
        escape(period)
    );
    if !lines.trim().is_empty() {
        let _ = write!(
            page,
            "<p><iframe src=\"/graphview/chart?query={}&amp;period={}\" width=\"100%\" \
             height=\"520\"></iframe>",
            in_query(lines),
            in_query(period)
        );
    }
    page += "<details><summary>Variables</summary><ul>";
    for name in site.history.names() {
        let quoted = quoted(&name);
        let _ = write!(
            page,
            "<li><a href=\"/graphview?query={}\">{}</a>",
            in_query(&quoted),
            escape(&name)
        );
    }
    page += "</ul></details>";
    html(page)
}

/// `/graphview/chart`: the chart, for the page's frame.
pub(super) async fn chart(
    State(site): Shared,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let drawn = site.blocking(move |site| {
        let lines = query.get("query").map(String::as_str).unwrap_or_default();
        let period = query.get("period").and_then(|period| period.trim().parse::<u32>().ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = period.map_or(i64::MIN, |period| {
            i64::try_from(now.as_millis()).unwrap_or(i64::MAX) - i64::from(period) * 1000
        });
        let (plots, problems) = plots(lines, |names| site.history.columns(names, since));
        draw(&plots, &problems)
    });
    match drawn.await {
        Ok(page) => html(page),
        Err(response) => response,
    }
}

/// Times and the values of some variables at each of them.
pub(super) type Columns = (Vec<i64>, Vec<Vec<f64>>);

/// A line of the chart.
#[derive(Debug, PartialEq)]
struct Plot {
    name: String,
    /// Times in milliseconds, and values that are numbers.
    points: Vec<(i64, f64)>,
}

/// What to draw, and what cannot be.
fn plots(
    lines: &str,
    columns: impl Fn(&[&str]) -> Result<Columns, String>,
) -> (Vec<Plot>, Vec<String>) {
    let (mut plots, mut problems) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if !seen.insert(line) {
            continue;
        }
        if seen.len() > MAX_LINES {
            problems.push(format!("only the first {MAX_LINES} expressions are drawn"));
            break;
        }
        let plot = Expression::parse(line).and_then(|expression| {
            let names: Vec<&str> = expression.variables().into_iter().collect();
            let (times, values) = columns(&names)?;
            let of = |name: &str| {
                let place = names.iter().position(|known| *known == name);
                place.and_then(|place| values.get(place)).cloned().unwrap_or_default()
            };
            let values = expression.values(&times, &of);
            let points = times.iter().copied().zip(values).filter(|(_, y)| y.is_finite());
            Ok(Plot { name: line.to_owned(), points: points.collect() })
        });
        match plot {
            Ok(plot) => plots.push(plot),
            Err(problem) => problems.push(problem),
        }
    }
    (plots, problems)
}

fn draw(plots: &[Plot], problems: &[String]) -> String {
    let (width, height) = SIZE;
    let mut page = format!("<!doctype html><meta http-equiv=refresh content={REFRESH}>");
    for problem in problems {
        // Writing to a text cannot fail, also below.
        let _ = write!(page, "<p>{}", escape(problem));
    }
    let points = || plots.iter().flat_map(|plot| &plot.points);
    let (first, last) =
        points().fold((i64::MAX, i64::MIN), |(a, b), (time, _)| (a.min(*time), b.max(*time)));
    let (low, high) = points().fold((f64::MAX, f64::MIN), |(a, b), (_, y)| (a.min(*y), b.max(*y)));
    if first > last {
        page += "<p>There is nothing to draw yet.";
        return page;
    }
    // A line that stays where it is runs through the middle.
    let (bottom, top) = if high > low { (low, high) } else { (low - 1.0, high + 1.0) };
    let span = (last - first).max(1) as f64;
    let _ = write!(
        page,
        "<svg viewBox=\"0 0 {width} {height}\" width=\"100%\" style=\"border:1px solid #ccc\">"
    );
    for (plot, colour) in plots.iter().zip(COLOURS.iter().cycle()) {
        let _ = write!(page, "<polyline fill=none stroke=\"{colour}\" points=\"");
        for (time, y) in &plot.points {
            let x = (time - first) as f64 / span * width;
            let y = height - (y - bottom) / (top - bottom) * height;
            let _ = write!(page, "{x:.1},{y:.1} ");
        }
        page += "\"/>";
    }
    page += "</svg>";
    let _ = write!(page, "<p>{low} to {high}, {:.0} seconds<ul>", (last - first) as f64 / 1000.0);
    for (plot, colour) in plots.iter().zip(COLOURS.iter().cycle()) {
        let newest = plot.points.last().map(|(_, y)| y.to_string()).unwrap_or_default();
        let name = escape(&plot.name);
        let _ = write!(page, "<li style=\"color:{colour}\">{name}: {newest}");
    }
    page + "</ul>"
}

/// A variable's name as an expression has it.
fn quoted(name: &str) -> String {
    match Expression::parse(name) {
        Ok(Expression::Variable(same)) if same == name => same,
        _ => format!("\"{name}\""),
    }
}

/// Text as a part of an address's query.
fn in_query(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'.' | b'-' => {
                encoded.push(char::from(byte));
            }
            _ => _ = write!(encoded, "%{byte:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str]) -> Result<Columns, String> {
        let of = |name: &&str| match *name {
            "a" => Ok(vec![0.0, 1.0, 2.0]),
            other => Err(format!("Unknown metric {other}")),
        };
        Ok((vec![0, 1000, 2000], names.iter().map(of).collect::<Result<_, _>>()?))
    }

    #[test]
    fn a_plot_for_each_line() {
        let (plots, problems) = plots("a\n\n 1/a \nnone\n(\na", columns);
        assert_eq!(plots.len(), 2);
        assert_eq!(plots[0].points, [(0, 0.0), (1000, 1.0), (2000, 2.0)]);
        assert_eq!(plots[1].points, [(1000, 1.0), (2000, 0.5)], "what is no number is left out");
        assert_eq!(problems, ["Unknown metric none", "an operand is missing at the end of ("]);
        let many: String = (0..30).map(|n| format!("{n}\n")).collect();
        let (plots, problems) = super::plots(&many, columns);
        assert_eq!((plots.len(), problems.len()), (MAX_LINES, 1));
    }

    #[test]
    fn charts() {
        let plot = |points: &[(i64, f64)]| Plot { name: "<a>".into(), points: points.to_vec() };
        let page = draw(&[plot(&[(0, 1.0), (1000, 3.0)])], &["<b>".into()]);
        assert!(page.contains("points=\"0.0,400.0 1000.0,0.0 \""), "{page}");
        assert!(page.contains("&lt;a&gt;: 3") && page.contains("&lt;b&gt;"), "{page}");
        assert!(!page.contains("<a>") && !page.contains("<b>"), "{page}");
        let page = draw(&[plot(&[(0, 1.0), (1000, 1.0)])], &[]);
        assert!(page.contains("points=\"0.0,200.0 1000.0,200.0 \""), "{page}");
        assert!(draw(&[plot(&[])], &[]).contains("nothing to draw"));
    }

    #[test]
    fn names_in_addresses() {
        assert_eq!(quoted("task_store_LOST"), "task_store_LOST");
        assert_eq!(quoted("tasks_LOST_a/b/c"), "\"tasks_LOST_a/b/c\"");
        assert_eq!(quoted("1"), "\"1\"");
        assert_eq!(in_query("a b&\"ä"), "a%20b%26%22%C3%A4");
    }
}
