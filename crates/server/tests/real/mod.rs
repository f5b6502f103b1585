//! What the tests of whole drops and those of many instances share: real processes, and buyers who send requests. It judges nothing:
//! the tests do.

pub mod crowd;
pub mod instance;
pub mod retrying_client;
