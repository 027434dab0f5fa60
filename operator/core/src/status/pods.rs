//! Why a worker does not come up, as far as its pod tells.

/// How a pod is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodState {
    /// Its name.
    pub name: String,
    /// Whether it is ready.
    pub is_ready: bool,
    /// How often its worker was started again.
    pub restarts: u32,
    /// What its worker waits for, if it does not run.
    pub waiting: Option<Waiting>,
    /// How its worker ended last: exit code and words.
    pub last_end: Option<(i32, String)>,
    /// Why no machine takes it, if none does.
    pub unschedulable: Option<String>,
}

/// Why a container does not run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// In one word, as the kubelet says it.
    pub reason: String,
    /// In a sentence.
    pub message: String,
}

/// Longest word of a pod that is passed on, in letters.
const LONGEST: usize = 300;

/// The trouble of the first pod that has any: a reason of `WorkersReady`, and its words with the next step.
/// `image` says where the spec has their image.
pub fn trouble(namespace: &str, pods: &[PodState], image: &str) -> Option<(&'static str, String)> {
    pods.iter().find_map(|pod| trouble_of(namespace, pod, image))
}

fn trouble_of(namespace: &str, pod: &PodState, image: &str) -> Option<(&'static str, String)> {
    let name = &pod.name;
    if pod.is_ready {
        return None;
    }
    if let Some(why) = &pod.unschedulable {
        let why = cut(why);
        return Some((
            "Unschedulable",
            format!("no node takes {name}: {why}; see kubectl describe pod {name} -n {namespace}"),
        ));
    }
    let waiting = pod.waiting.as_ref()?;
    let why = cut(&waiting.message);
    match waiting.reason.as_str() {
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName" => Some((
            "ImagePullFailed",
            format!("the image of {name} cannot be had: {why}; see {image}"),
        )),
        "CrashLoopBackOff" => {
            let end = pod
                .last_end
                .as_ref()
                .map(|(code, words)| format!(" with {code} ({})", cut(words)));
            Some((
                "CrashLooping",
                format!(
                    "{name} ended{} and was started {} times; see kubectl logs {name} -n {namespace} --previous",
                    end.unwrap_or_default(),
                    pod.restarts
                ),
            ))
        }
        // A Secret or ConfigMap is missing, or something in the pod template does not fit.
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => Some((
            "CrashLooping",
            format!("{name} cannot be started: {why}; see kubectl describe pod {name} -n {namespace}"),
        )),
        _ => None,
    }
}

/// What a program said last, of the end of its log: the error that it ended with, if there is one.
pub fn last_words(log: &str) -> String {
    let lines = || log.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let error = lines().find(|line| line.starts_with("error: "));
    cut(error.or_else(|| lines().next()).unwrap_or_default())
}

fn cut(words: &str) -> String {
    let line = words.lines().next().unwrap_or_default();
    line.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pod: PodState, expected: Option<(&str, &str)>) {
        let pod = PodState {
            name: "noc-workers-0".to_owned(),
            ..pod
        };
        let found = trouble(
            "ops",
            &[
                PodState {
                    is_ready: true,
                    ..pod.clone()
                },
                pod,
            ],
            "spec.workers.image",
        );
        match (found, expected) {
            (None, None) => {}
            (Some((reason, words)), Some((expected, part))) => {
                assert_eq!(reason, expected);
                assert!(words.contains("noc-workers-0") && words.contains(part), "{words}");
            }
            (found, expected) => assert_eq!(found.is_some(), expected.is_some(), "{found:?}"),
        }
    }

    fn waiting(reason: &str, message: &str) -> PodState {
        PodState {
            waiting: Some(Waiting {
                reason: reason.to_owned(),
                message: message.to_owned(),
            }),
            ..PodState::default()
        }
    }

    #[test]
    fn the_error_that_a_worker_ended_with_is_its_last_word() {
        let log = "admin: https://[::]:9090/\nerror: wind it back instead\n{\"level\":\"INFO\"}\n\n";
        assert_eq!(last_words(log), "error: wind it back instead");
        assert_eq!(last_words("a\nkilled \n"), "killed");
        assert_eq!(last_words(""), "");
    }

    #[test]
    fn what_keeps_a_pod_from_running_is_named_with_the_next_step() {
        check(waiting("ContainerCreating", ""), None);
        check(
            waiting("ImagePullBackOff", "Back-off pulling image \"a:1\""),
            Some(("ImagePullFailed", "pulling image \"a:1\"")),
        );
        check(
            waiting("CreateContainerConfigError", "secret \"pager\" not found"),
            Some(("CrashLooping", "secret \"pager\" not found")),
        );
        check(
            PodState {
                restarts: 4,
                last_end: Some((3, "error: 1 problem".to_owned())),
                ..waiting("CrashLoopBackOff", "back-off 40s")
            },
            Some(("CrashLooping", "with 3 (error: 1 problem)")),
        );
        check(
            PodState {
                unschedulable: Some("0/1 nodes are available: 1 Insufficient cpu.".to_owned()),
                ..PodState::default()
            },
            Some(("Unschedulable", "Insufficient cpu")),
        );
    }

    #[test]
    fn a_long_word_is_cut() {
        let (_, words) = trouble(
            "ops",
            &[waiting("ErrImagePull", &"x".repeat(5_000))],
            "spec.workers.image",
        )
        .unwrap_or_default();
        assert!(words.len() < 500, "{}", words.len());
    }
}
