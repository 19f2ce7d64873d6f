//! Small server tools: arithmetic, the time, and notes behind an approval.
