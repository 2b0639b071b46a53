//! Statistics and tables.

use std::time::Duration;

/// Median, smallest and largest of some values.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of no values: not numbers, which print as such.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let sorted = sorted(values);
        Spread {
            median: percentile(&sorted, 0.5),
            min: percentile(&sorted, 0.0),
            max: percentile(&sorted, 1.0),
        }
    }

    pub(crate) fn of_times(values: impl IntoIterator<Item = Duration>) -> Spread {
        Spread::of(values.into_iter().map(|time| time.as_secs_f64()))
    }
}

pub(crate) fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The value below which a share of `sorted` lies, between neighbours in proportion.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share * last as f64;
    let below = sorted[place.floor() as usize];
    let above = sorted[place.ceil() as usize];
    below + (above - below) * place.fract()
}

/// A table whose first column holds names and whose others hold figures.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: &str, columns: &[&str]) -> Table {
        let head = [title].iter().chain(columns).map(|cell| cell.to_string()).collect();
        Table { rows: vec![head] }
    }

    pub(crate) fn row(&mut self, name: impl Into<String>, cells: impl IntoIterator<Item = String>) {
        self.rows.push([name.into()].into_iter().chain(cells).collect());
    }

    pub(crate) fn print(&self) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        println!();
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let padding = " ".repeat(width - cell.chars().count());
                match column {
                    0 => line += &format!("{cell}{padding}"),
                    _ => line += &format!("  {padding}{cell}"),
                }
            }
            println!("{}", line.trim_end());
            if number == 0 {
                println!("{}", "-".repeat(widths.iter().sum::<usize>() + 2 * (columns - 1)));
            }
        }
    }
}

/// Seconds as milliseconds.
pub(crate) fn ms(seconds: f64) -> String {
    format!("{:.1}", seconds * 1e3)
}

/// Seconds as microseconds.
pub(crate) fn us(seconds: f64) -> String {
    format!("{:.0}", seconds * 1e6)
}

pub(crate) fn ratio(value: f64, floor: f64) -> String {
    format!("{:.2}", value / floor)
}
