use super::*;

const HOST: &str = "host";

fn meant(asked: Asked, code: i64, words: &str) -> ClientError {
    of(asked, HOST, Fault::Error(code, words.to_owned(), Value::Null), 100)
}

fn is_refusal(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { .. })
}

#[test]
fn only_what_a_contract_answers_is_a_refusal_of_a_call() {
    for (code, words) in [
        (3, "execution reverted"),
        (-32000, "execution reverted: too many requests, says the contract"),
        (-32015, "VM execution error."),
        (-32000, "insufficient funds for transfer"),
        (-32000, "gas required exceeds allowance (30000000)"),
        (-32000, "out of gas"),
        (-32000, "intrinsic gas too low"),
        (-32603, "VM Exception while processing transaction: invalid opcode"),
    ] {
        let error = meant(Asked::Call, code, words);
        assert!(is_refusal(&error) && !error.is_outage(), "{words}: {error:?}");
    }
    let data = Fault::Error(-32000, "x".to_owned(), Value::from("Reverted 0x08c379a0"));
    assert!(is_refusal(&of(Asked::Call, HOST, data, 100)));
    for (code, words) in [
        (-32005, "limit exceeded"),
        (-32007, "50/second request limit reached"),
        (-32601, "the method eth_call does not exist/is not available"),
        (-32603, "internal error"),
        (-32000, "missing trie node 0a1b (path ) state 0x0a1b is not available"),
        (-32000, "header not found"),
        (-39001, "Unknown block"),
        (429, "Too Many Requests"),
        (-32000, "execution timeout"),
        (-32000, "project ID is required"),
        (0, "overloaded"),
    ] {
        let error = meant(Asked::Call, code, words);
        let unavailable = matches!(error, ClientError::Unavailable { .. });
        assert!(unavailable && error.is_outage(), "{words}: {error:?}");
        // Of a block or a nonce no error is an answer.
        assert!(meant(Asked::Other, code, words).is_outage(), "{words}");
        assert!(meant(Asked::Other, 3, words).is_outage(), "{words}");
    }
}

#[test]
fn a_transaction_is_refused_by_the_chain_and_not_by_a_busy_server() {
    for (code, words) in [
        (-32000, "nonce too low"),
        (-32000, "transaction underpriced: gas tip cap 1, minimum needed 25000000000"),
        (-32603, "replacement transaction underpriced"),
        (-32000, "exceeds block gas limit"),
        (-32000, "tx fee (1.20 ether) exceeds the configured cap (1.00 ether)"),
        (-32000, "words that nobody knows"),
        (-32003, "transaction rejected"),
    ] {
        assert!(is_refusal(&meant(Asked::Send, code, words)), "{words}");
    }
    for (code, words) in [
        (-32005, "daily request count exceeded, request rate limited"),
        (-32601, "the method eth_sendRawTransaction does not exist/is not available"),
        (-32603, "internal error"),
        (-32000, "txpool is full"),
        (-32000, "too many requests"),
        (-32016, "capacity exceeded"),
    ] {
        assert!(meant(Asked::Send, code, words).is_outage(), "{words}");
    }
}

#[test]
fn a_question_for_events_that_was_too_much_is_told_from_an_outage() {
    for (code, words) in [
        (-32005, "query returned more than 10000 results"),
        (-32602, "query exceeds max results 20000"),
        (-32000, "block range is too wide"),
        (-32005, "limit exceeded: block range is limited to 1000"),
        (-32600, "eth_getLogs is limited to a 10,000 range"),
        (-32008, "Response size should not greater than 150000000 bytes"),
        (
            -32602,
            "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range",
        ),
        (-32000, "query timeout exceeded"),
        (-32614, "exceed maximum block range: 5000"),
        (-32701, "Please specify less number of addresses or a shorter range"),
    ] {
        let error = meant(Asked::Logs, code, words);
        assert!(error.asks_too_much() && !error.is_outage(), "{words}: {error:?}");
        assert!(meant(Asked::Other, code, words).is_outage(), "{words}");
    }
    for (code, words) in [
        (-32005, "limit exceeded"),
        (-32005, "daily request count exceeded, request rate limited"),
        (429, "your app has exceeded its compute units per second capacity"),
        (-32000, "block range extends beyond current head block"),
        (-32000, "One of the blocks specified in filter cannot be found"),
        (-32000, "history has been pruned for this block range"),
        (-32601, "the method eth_getLogs does not exist/is not available"),
    ] {
        let error = meant(Asked::Logs, code, words);
        assert!(error.is_outage() && !error.asks_too_much(), "{words}: {error:?}");
    }
    let status =
        |asked, status, words: &str| of(asked, HOST, Fault::Status(status, words.to_owned()), 100);
    assert!(status(Asked::Logs, 413, "").asks_too_much());
    assert!(status(Asked::Logs, 400, "query returned more than 10000 results").asks_too_much());
    assert!(status(Asked::Logs, 429, "more than 5 requests").is_outage());
    assert!(status(Asked::Other, 413, "").is_outage());
    assert!(of(Asked::Logs, HOST, Fault::TooLarge, 100).asks_too_much());
}
