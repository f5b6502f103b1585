//! A real server and the stand-in, each a process: one of them is killed in each call that moves a payment on, before the call is done
//! and after it. Afterwards the money that Stripe keeps is that of the confirmed orders, less what was refunded.

use crate::crash_shop::{CrashShop, PRICE, PaymentCall};

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum VictimProcess {
    Server,
    StandIn,
}

/// Kills one of the processes in a call, which is printed for a failure, and waits for the end of the payment.
async fn die_in(shop: &mut CrashShop, victim: VictimProcess, call: PaymentCall, fault: &str) {
    eprintln!("{victim:?} {call:?} {fault}");
    let order = shop.hold().await;
    let kept_before = shop.money_kept().await;
    let calls_before = shop.count_calls(call).await;
    shop.reach(&order, call, fault).await;
    shop.wait_for_calls(call, calls_before + 1).await;
    match victim {
        VictimProcess::Server => {
            shop.servers[0].kill();
            shop.stand_in.command("heal", &[]).await;
            shop.servers[0].launch().await;
        }
        VictimProcess::StandIn => {
            shop.stand_in.kill_and_restart().await;
            shop.send_webhooks_to(&[0]).await;
        }
    }
    if call == PaymentCall::OpenPage {
        let session = shop.open_page(&order).await;
        shop.approve(&session).await;
    }
    shop.wait_for_end(&order, call.order_status(), call.payment_status()).await;
    shop.wait_for_money(kept_before + call.money_kept()).await;
}

async fn die_in_each_call(victim: VictimProcess) {
    let mut shop = CrashShop::start().await;
    let mut kept = 0;
    for fault in ["stall", "do_and_stall"] {
        for call in PaymentCall::ALL {
            die_in(&mut shop, victim, call, fault).await;
            kept += call.money_kept();
        }
    }
    assert_eq!(shop.money_kept().await, kept);
    shop.assert_money_agrees().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_in_any_call_loses_and_keeps_no_money() {
    die_in_each_call(VictimProcess::Server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stripe_that_is_killed_in_any_call_loses_and_keeps_no_money() {
    die_in_each_call(VictimProcess::StandIn).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stripe_that_answers_later_than_anyone_waits_ends_with_one_payment() {
    let mut shop = CrashShop::start().await;
    let order = shop.hold().await;
    // Each call takes longer than the client waits, and is done all the same.
    let slow = [("path", "/v1/"), ("count", "4"), ("kind", "delay_ms_6000")];
    shop.stand_in.command("fail", &slow).await;
    let session = shop.open_page(&order).await;
    shop.stand_in.command("fail", &slow).await;
    shop.approve(&session).await;
    shop.wait_for_payment(&order, "captured").await;
    assert_eq!(shop.money_kept().await, PRICE);
    shop.assert_money_agrees().await;
}
