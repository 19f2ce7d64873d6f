//! Behind nginx, with the lines that docs/operating.md shows.
