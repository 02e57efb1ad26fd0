//! No token and no key in anything that can be logged or read.

mod capture;
mod finder;
mod settings;
mod traffic;
mod types;
