//! People who sign in: how they get in and out, what they may do, and who says so.

mod manage;
mod oidc;
mod origin;
mod sessions;
mod sign_in;
