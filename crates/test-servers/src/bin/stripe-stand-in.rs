//! The stand-in for Stripe as a process of its own: `stripe-stand-in ADDRESS [FILE]`. With a file it goes on after a kill with what it had. It
//! runs until it is killed.

#![expect(clippy::print_stdout, reason = "a person starts it")]

use std::path::PathBuf;
use test_servers::stripe::{StripeStandIn, TEST_KEY, TEST_WEBHOOK_SECRET};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().and_then(|address| address.parse().ok());
    let address = address.expect("the first argument is an address such as 127.0.0.1:4242");
    let stand_in = StripeStandIn::start_on(address, arguments.next().map(PathBuf::from));
    println!(
        "Stripe's stand-in is at {}; its key is {TEST_KEY}, its webhook secret {TEST_WEBHOOK_SECRET}.",
        stand_in.url()
    );
    loop {
        std::thread::park();
    }
}
