//! Mails over kills of the process and of the relay: what the relay took, compared with the ledger and the payments' outbox.

use crate::real::crowd::BuyerCrowd;
use crate::real::instance::{ServerProcess, text};
use crate::receivers::mails::assert_mails_match;
use crate::receivers::records::ShopAccess;
use serde_json::json;
use test_servers::mail::MailServer;
use test_servers::wait::{HANG_LIMIT, eventually};

const KILLS: usize = 5;
const BUYERS: usize = 6;

/// Each buyer buys and pays, and the first gets the money back.
async fn buy(instance: &ServerProcess, sale: &str, buyers: &[String]) {
    let order = json!({"flashSaleId": sale, "quantity": 1});
    let buying = buyers.iter().map(async |token| {
        let order = text(&instance.post("/api/v1/orders", &order, Some(token)).await, "id");
        let pay = format!("/api/v1/orders/{order}/pay");
        instance.post(&pay, &json!({"method": "sandbox:approve"}), Some(token)).await;
        order
    });
    let orders = futures::future::join_all(buying).await;
    let refund = format!("/api/v1/admin/orders/{}/refund", orders[0]);
    instance.post(&refund, &json!({"restock": false}), Some(&instance.admin)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mail_arrives_over_five_kills_of_the_process_and_of_the_relay_and_at_most_once_more() {
    let mut server = MailServer::start();
    let relay = server.url();
    let flags = ["--limits", "off", "--smtp", &relay, "--mail-from", "shop@shop.example"];
    let flags = [&flags[..], &["--public-url", "https://shop.example", "--mail-rate", "1000/1s"]].concat();
    let mut instance = ServerProcess::with(&flags).await;
    let wanted =
        json!({"quantity": 1_000, "holdSeconds": 300, "limitPerBuyer": 1_000, "admission": {"type": "open"}});
    let sale = instance.create_sale(&wanted).await;
    let buyers = BuyerCrowd::register(&instance, BUYERS).await.tokens;
    let shop = ShopAccess {
        url: instance.url.clone(),
        admin: instance.admin.clone(),
        database: instance.database_url(),
    };
    // As when the longest wait has passed: for a lease 23 minutes, for the next try of a mail up to 80.
    let let_time_pass = async || {
        let statement = "UPDATE mails SET lease_until = 0, next_try_at = 0 WHERE state = 'waiting'";
        shop.query(statement.to_owned()).await;
    };

    for _ in 0..KILLS {
        // The relay has mails, and the process does not learn of it.
        let replies = server.hold_replies();
        let before = server.list_mails().len();
        buy(&instance, &sale, &buyers).await;
        eventually("mails are under way", HANG_LIMIT, async || server.list_mails().len() > before).await;
        instance.kill();
        drop(replies);
        let_time_pass().await;
        instance.launch().await;
        assert_mails_match(&shop, &[&sale], &server, 1).await;

        // No relay at all, and a process that dies meanwhile.
        server.kill();
        buy(&instance, &sale, &buyers).await;
        let failed = "SELECT id FROM mails WHERE state = 'waiting' AND reason IS NOT NULL";
        eventually("a try has failed", HANG_LIMIT, async || !shop.query(failed.to_owned()).await.is_empty())
            .await;
        instance.kill();
        server.restart();
        let_time_pass().await;
        instance.launch().await;
        assert_mails_match(&shop, &[&sale], &server, 1).await;
    }
    let mails = server.list_mails();
    let ids: std::collections::HashSet<&str> = mails.iter().map(|mail| mail.header("Message-ID")).collect();
    assert!(mails.len() >= ids.len() + KILLS, "each kill came before the reply of the relay");
    instance.stop_gently().await;
}
