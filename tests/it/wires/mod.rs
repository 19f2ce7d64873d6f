//! One run, any wire: what begins in one dialect is watched, decided and ended in others.

mod parts;
