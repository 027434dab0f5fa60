//! Rules for HTTP: to which request what is done.

use std::time::Duration;

use super::message::Message;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Watch,
    Answer(Message),
    Delay(Duration),
    Hold,
    CutBefore,
    CutAnswerAfter(usize),
    DropAnswer,
    DropAnswerSilently,
    DropEvents(String),
    StallEvents,
}

impl Action {
    /// Whether it is about what comes in a stream of events, and not about requests.
    pub(super) fn is_of_events(&self) -> bool {
        matches!(self, Self::DropEvents(_) | Self::StallEvents)
    }
}

/// A rule for requests. Without more words it only counts them.
#[derive(Debug, Clone)]
pub struct HttpRule {
    method: Option<String>,
    path: Option<String>,
    containing: Option<String>,
    nth: Option<u64>,
    pub(super) action: Action,
}

impl HttpRule {
    /// For every request.
    pub fn every() -> Self {
        Self {
            method: None,
            path: None,
            containing: None,
            nth: None,
            action: Action::Watch,
        }
    }

    /// For the n-th request that the rule is for, counted from 1 and from when the rule is added.
    pub fn nth(n: u64) -> Self {
        Self {
            nth: Some(n),
            ..Self::every()
        }
    }

    /// Only those with this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Only those whose path begins so.
    #[must_use]
    pub fn path(mut self, beginning: &str) -> Self {
        self.path = Some(beginning.to_owned());
        self
    }

    /// Only those whose path or query contains this, such as `uploadId=`.
    #[must_use]
    pub fn containing(mut self, part: &str) -> Self {
        self.containing = Some(part.to_owned());
        self
    }

    /// The proxy answers in the place of whom it stands before, who never sees the request.
    #[must_use]
    pub fn answer(self, status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut answer = answer(status, body);
        answer.headers.extend(
            headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        self.then(Action::Answer(answer))
    }

    /// The request waits.
    #[must_use]
    pub fn delay(self, by: Duration) -> Self {
        self.then(Action::Delay(by))
    }

    /// The request waits until [`HttpRuleHandle::release`](super::HttpRuleHandle::release).
    #[must_use]
    pub fn hold(self) -> Self {
        self.then(Action::Hold)
    }

    /// The connection is reset in place of the request.
    #[must_use]
    pub fn cut_before(self) -> Self {
        self.then(Action::CutBefore)
    }

    /// The work is done; so many bytes of the answer, head included, get through, then the connection is reset.
    #[must_use]
    pub fn cut_answer_after(self, bytes: usize) -> Self {
        self.then(Action::CutAnswerAfter(bytes))
    }

    /// The work is done; the connection is reset in place of the answer.
    #[must_use]
    pub fn drop_answer(self) -> Self {
        self.then(Action::DropAnswer)
    }

    /// The work is done; the client gets nothing, and the connection stays open until the client closes it.
    #[must_use]
    pub fn drop_answer_silently(self) -> Self {
        self.then(Action::DropAnswerSilently)
    }

    /// Of streams of events, as watches are: those that contain this get lost.
    #[must_use]
    pub fn drop_events(self, containing: &str) -> Self {
        self.then(Action::DropEvents(containing.to_owned()))
    }

    /// Of streams of events, as watches are: none comes through until
    /// [`HttpRuleHandle::release`](super::HttpRuleHandle::release).
    #[must_use]
    pub fn stall_events(self) -> Self {
        self.then(Action::StallEvents)
    }

    fn then(mut self, action: Action) -> Self {
        self.action = action;
        self
    }

    fn is_for(&self, request: &Message) -> bool {
        let fits = |wanted: &Option<String>, test: &dyn Fn(&str) -> bool| wanted.as_deref().is_none_or(test);
        fits(&self.method, &|method| request.method() == method)
            && fits(&self.path, &|path| request.target().starts_with(path))
            && fits(&self.containing, &|part| request.target().contains(part))
    }
}

/// A rule at work.
#[derive(Debug)]
pub(super) struct Active {
    pub id: u64,
    pub rule: HttpRule,
    matched: u64,
    pub hits: u64,
    pub released: bool,
}

impl Active {
    pub fn new(id: u64, rule: HttpRule) -> Self {
        Self {
            id,
            rule,
            matched: 0,
            hits: 0,
            released: false,
        }
    }

    /// Whether it is this request's turn. Counts the request.
    pub fn takes(&mut self, request: &Message) -> bool {
        let meant = !self.rule.action.is_of_events() && self.rule.is_for(request);
        if meant {
            self.matched += 1;
        }
        meant && self.rule.nth.is_none_or(|nth| nth == self.matched)
    }
}

impl Active {
    /// What becomes of an event in the stream that answers this request.
    pub fn of_event(&mut self, request: &Message, event: &[u8]) -> Fate {
        if !self.rule.is_for(request) {
            return Fate::Through;
        }
        match &self.rule.action {
            Action::DropEvents(part) if String::from_utf8_lossy(event).contains(part.as_str()) => {
                self.matched += 1;
                if self.rule.nth.is_some_and(|nth| nth != self.matched) {
                    return Fate::Through;
                }
                self.hits += 1;
                Fate::Lost
            }
            Action::StallEvents if !self.released => Fate::Waits,
            _ => Fate::Through,
        }
    }
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It comes through.
    Through,
    /// It gets lost.
    Lost,
    /// It waits.
    Waits,
}

/// An answer with a body.
pub(super) fn answer(status: u16, body: &[u8]) -> Message {
    Message {
        first: format!("HTTP/1.1 {status} Rig"),
        headers: vec![("Content-Length".to_owned(), body.len().to_string())],
        raw_body: body.to_owned(),
        body: body.to_owned(),
    }
}
