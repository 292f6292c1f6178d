//! Rows and columns for people.

use unicode_width::UnicodeWidthStr as _;

use super::text::{plain, wrap};

/// Rows under headings. Where the columns don't fit side by side, each row becomes a small list.
#[derive(Debug)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new<const N: usize>(headings: [&'static str; N]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; cells are cleaned of control characters.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut cells: Vec<String> = cells.into_iter().map(|cell| plain(&cell).replace('\n', " ")).collect();
        cells.resize(self.headings.len(), String::new());
        self.rows.push(cells);
    }

    /// The table as text that fits `width` columns, or as wide as it is.
    pub(crate) fn render(&self, width: Option<usize>) -> String {
        let headings = self.headings.iter().map(|heading| (*heading).to_owned()).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&headings).chain(&self.rows).collect();
        let widest = |column: usize| lines.iter().map(|line| line[column].width()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..headings.len()).map(widest).collect();
        let total = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
        if width.is_some_and(|width| total > width) {
            return self.list(width);
        }
        lines.into_iter().map(|line| side_by_side(line, &widths)).collect()
    }

    fn list(&self, width: Option<usize>) -> String {
        let item = |row: &Vec<String>| {
            let filled = self.headings.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
            let line = |(number, (heading, cell)): (usize, (&&str, &String))| {
                let indent = if number == 0 { 0 } else { 2 };
                wrap(&format!("{heading}: {cell}"), width, indent, indent + 2) + "\n"
            };
            filled.enumerate().map(line).collect::<String>()
        };
        self.rows.iter().map(item).collect()
    }
}

fn side_by_side(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line.push_str(cell);
        line.push_str(&" ".repeat(width - cell.width() + 2));
    }
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["artifact", "kind", "size"]);
        table.row(["site".to_owned(), "directory".to_owned(), "1.2 KiB".to_owned()]);
        table.row(["日本".to_owned(), String::new(), "12 B".to_owned()]);
        table
    }

    #[test]
    fn columns_line_up() {
        let expected = "artifact  kind       size\nsite      directory  1.2 KiB\n日本                 12 B\n";
        assert_eq!(table().render(None), expected);
        assert_eq!(table().render(Some(28)), expected);
    }

    #[test]
    fn a_narrow_table_is_a_list() {
        let expected = "artifact: site\n  kind: directory\n  size: 1.2 KiB\nartifact: 日本\n  size: 12 B\n";
        assert_eq!(table().render(Some(25)), expected);
    }
}
