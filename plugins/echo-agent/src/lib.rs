//! The smallest coded agent: it repeats what it hears.
