//! The feed of a line in a cluster behind nginx, with the configuration that users get: every buyer finds in it the place that the
//! instances answer, and many polls cost the instances few requests.

use crate::topology::{ClusterLayout, RunningCluster};
use documents::{LineFeedDocument, rfc3339};
use engine::clock::{Clock as _, SystemClock, start_stopwatch};
use reqwest::{Client, StatusCode};
use sale::{Ticket, Timestamp};
use serde_json::{Value, json};
use test_servers::wait::{HANG_LIMIT, eventually_some};

const BUYERS: usize = 30;
const POLLERS: usize = 40;
const POLLS: usize = 40;
const ROUTE: &str =
    r#"doorbuster_http_requests_total{method="GET",route="/api/v1/flash-sales/{id}/line-feed","#;

/// Requests for a feed that the instances have answered.
async fn count_at_the_origin(topology: &RunningCluster) -> u64 {
    let mut count = 0;
    for process in topology.processes() {
        let text = process.client.get(process.metrics_url()).send().await.unwrap().text().await.unwrap();
        let lines = text.lines().filter(|line| line.starts_with(ROUTE));
        count += lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum::<u64>();
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_polls_of_a_line_through_nginx_cost_the_instances_few_requests() {
    let topology = ClusterLayout::with_instances(3).behind_nginx().start().await;
    let line =
        json!({"type": "fifo", "perSecond": 10, "checkoutSeconds": 60, "lineOpensSecondsBefore": 3600});
    let starts_at = rfc3339(SystemClock::start(Timestamp::default()).now().plus_s(1_800));
    let sale = topology.create_sale(&json!({"quantity": 20, "admission": line, "startsAt": starts_at})).await;
    let tokens = topology.buyers(BUYERS);
    let processes = topology.processes();
    let mut tickets = Vec::new();
    for (no, token) in tokens.iter().enumerate() {
        let body = json!({"flashSaleId": sale});
        let place = processes[no % 3].post("/api/v1/queue/join", &body, Some(token)).await;
        tickets.push(Ticket(u32::try_from(place["ticket"].as_u64().unwrap()).unwrap()));
    }
    for (no, token) in tokens.iter().enumerate().filter(|(no, _)| no % 4 == 1) {
        let leave = format!("{}/api/v1/queue/leave?flashSaleId={sale}", processes[no % 3].url);
        let left = processes[0].client.delete(leave).bearer_auth(token).send().await.unwrap();
        assert_eq!(left.status(), StatusCode::NO_CONTENT);
    }
    let feed_url = format!("{}/api/v1/flash-sales/{sale}/line-feed", topology.nginx.as_ref().unwrap().url());
    let client = Client::builder().no_proxy().build().unwrap();
    let read_feed = async || {
        let reply = client.get(&feed_url).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK);
        reply.json::<LineFeedDocument>().await.unwrap()
    };
    let left = (0..BUYERS).filter(|no| no % 4 == 1).count();
    let feed = eventually_some("the feed has everyone", HANG_LIMIT, async || {
        let feed = read_feed().await;
        let waiting = feed.line.as_ref().map_or(0, |line| line.waiting as usize);
        (waiting == BUYERS - left).then_some(feed)
    })
    .await;
    let line = feed.line.as_ref().unwrap().to_feed().unwrap();
    for (no, token) in tokens.iter().enumerate() {
        let place: Value = processes[(no + 1) % 3]
            .get(&format!("/api/v1/flash-sales/{sale}/queue-position"), Some(token))
            .await;
        let expected = if no % 4 == 1 { None } else { place["position"].as_u64() };
        assert_eq!(line.position(tickets[no]).map(u64::from), expected, "{place}");
    }

    let (before, started) = (count_at_the_origin(&topology).await, start_stopwatch());
    let polling = (0..POLLERS).map(|_| async {
        for _ in 0..POLLS {
            read_feed().await;
        }
    });
    futures::future::join_all(polling).await;
    // The last document is good for a second at least, so no more can have been asked for than seconds have begun.
    let allowed = 1 + started.elapsed().as_secs() + 1;
    let asked = count_at_the_origin(&topology).await - before;
    assert!(asked <= allowed, "{asked} requests for {} polls, and {allowed} seconds", POLLERS * POLLS);
    topology.verify().await;
}
