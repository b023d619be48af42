"""What `vertex-training setup` needs to know of a person's cloud, from options or from questions."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..core.errors import ProjectError


@dataclass(frozen=True, slots=True)
class Answers:
    """The cloud's registry and project; an empty field was not answered.

    Attributes:
        registry: Where images go, as HOST/PROJECT/REPOSITORY.
        registry_user: The user of a registry that isn't Google's.
        project: The Google Cloud project's id.
        region: Where jobs run.
        bucket: The Cloud Storage bucket for models.
        key_file: A service account's key file; empty for the application default credentials.
        endpoint: Another address of the Vertex AI API than Google's.
    """

    registry: str = ""
    registry_user: str = ""
    project: str = ""
    region: str = ""
    bucket: str = ""
    key_file: str = ""
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A question about one field.

    Attributes:
        field: The field of `Answers`.
        text: What is asked.
        needs: The field without which the question is left out; empty for none.
    """

    field: str
    text: str
    needs: str = ""


QUESTIONS = (
    Question("registry", "Registry for images, as HOST/PROJECT/REPOSITORY (optional)"),
    Question("registry_user", "User of that registry; empty for Google's credentials or docker login", "registry"),
    Question("project", "Google Cloud project id; empty for no Vertex AI"),
    Question("region", "Region in which jobs run, such as europe-west4", "project"),
    Question("bucket", "Cloud Storage bucket for models", "project"),
    Question("key_file", "Service account key file; empty for the application default credentials"),
)


def ask(answers: Answers) -> Answers:
    """Asks the questions at the terminal; the given answers are the defaults.

    Raises:
        ProjectError: The input ended before the last question.
    """
    print("Enter keeps the value in brackets; - empties it.")
    for question in QUESTIONS:
        if question.needs and not getattr(answers, question.needs):
            continue
        default: str = getattr(answers, question.field)
        try:
            text = input(f"{question.text} [{default}]: ").strip() or default
        except EOFError as error:
            raise ProjectError(
                "the input ended before the last question",
                where="setup",
                next_step="Start again, or give the answers as options; see --help",
            ) from error
        answers = replace(answers, **{question.field: "" if text == "-" else text})
    return answers
