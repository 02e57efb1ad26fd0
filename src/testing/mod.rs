//! An in-process stand-in for Clerk.
