//! The dialect from outside: what it reads, what it refuses and where, and that its text reads back.

mod corpus;
mod depth;
mod kinds;
mod noise;
mod places;
mod refusals;
mod registry;
mod round_trip;
mod spellings;
mod strategies;
mod support;
mod time_travel;
mod types;
