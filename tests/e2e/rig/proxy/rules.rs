//! Rules: to which request what is done.

use std::time::Duration;

use super::frames::{ApiKey, Head};

/// What is done to a request or its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Watch,
    DropAnswer,
    DropAnswerAndCut,
    DelayAnswer(Duration),
    DelayRequest(Duration),
    HoldRequest,
    CutBefore,
}

/// A rule for requests of one kind. Without more words it only counts them.
#[derive(Debug, Clone)]
pub struct Rule {
    api_key: ApiKey,
    nth: Option<u64>,
    client: Option<String>,
    pub(super) action: Action,
}

impl Rule {
    /// For every request of a kind.
    pub fn every(api_key: ApiKey) -> Self {
        Self {
            api_key,
            nth: None,
            client: None,
            action: Action::Watch,
        }
    }

    /// For the n-th request of a kind, counted from 1 and from when the rule is added.
    pub fn nth(api_key: ApiKey, n: u64) -> Self {
        Self {
            nth: Some(n),
            ..Self::every(api_key)
        }
    }

    /// Only those of a client with this name (`client.id`); others are not counted.
    #[must_use]
    pub fn of_client(mut self, name: &str) -> Self {
        self.client = Some(name.to_owned());
        self
    }

    /// The broker gets the request and does the work; its answer is dropped, and so is all that would come after it on
    /// that connection, which stays open. The rule is hit when the answer has come.
    #[must_use]
    pub fn drop_answer(self) -> Self {
        self.then(Action::DropAnswer)
    }

    /// The broker gets the request and does the work; the connection is reset in place of its answer. The rule is hit
    /// when the answer has come.
    #[must_use]
    pub fn drop_answer_and_cut(self) -> Self {
        self.then(Action::DropAnswerAndCut)
    }

    /// The answer waits, and with it those behind it.
    #[must_use]
    pub fn delay_answer(self, by: Duration) -> Self {
        self.then(Action::DelayAnswer(by))
    }

    /// The request waits, and with it those behind it.
    #[must_use]
    pub fn delay_request(self, by: Duration) -> Self {
        self.then(Action::DelayRequest(by))
    }

    /// The request waits until [`RuleHandle::release`](super::RuleHandle::release), and with it those behind it.
    #[must_use]
    pub fn hold_request(self) -> Self {
        self.then(Action::HoldRequest)
    }

    /// The connection is reset in place of the request; the broker never sees it.
    #[must_use]
    pub fn cut_before(self) -> Self {
        self.then(Action::CutBefore)
    }

    fn then(mut self, action: Action) -> Self {
        self.action = action;
        self
    }
}

/// A rule at work.
#[derive(Debug)]
pub(super) struct Active {
    pub id: u64,
    pub rule: Rule,
    /// Requests that it was for, whether or not it was their turn.
    matched: u64,
    /// How often it did what it says.
    pub hits: u64,
    /// Whether it lets go what it holds.
    pub released: bool,
}

impl Active {
    pub fn new(id: u64, rule: Rule) -> Self {
        Self {
            id,
            rule,
            matched: 0,
            hits: 0,
            released: false,
        }
    }

    /// Whether it is this request's turn. Counts the request.
    pub fn takes(&mut self, head: &Head) -> bool {
        let meant =
            head.api_key == self.rule.api_key && self.rule.client.as_ref().is_none_or(|client| *client == head.client);
        if meant {
            self.matched += 1;
        }
        meant && self.rule.nth.is_none_or(|nth| nth == self.matched)
    }
}
