"""Any HTTP interface: requests by a template, each remembered when it is taken, read back where that can be asked."""

import contextlib
import time
from collections.abc import Iterator, Mapping

from ...errors import ConfigurationError, Rejected, Retriable
from ...orthanc_rest import Orthanc
from ...settings.http import Confirmation, Http, Question
from ...web.answer import refusal, retry_after_s
from ...web.session import Answer, Session, until
from ..base import Shipment
from . import openapi
from .answer import holds
from .pieces import Plan, Source, Study
from .sending import Client, Sending


class HttpDestination:
    """A destination that takes what a template makes."""

    def __init__(self, settings: Http, orthanc: Orthanc) -> None:  # noqa: ARG002  # every kind is made like this
        self._settings = settings

    def check(self) -> str:
        """Compare the template with the OpenAPI file, fetch a token, and ask the far side."""
        if self._settings.openapi_file and self._settings.operation_id:
            openapi.compare(self._settings)
        with self._client() as client:
            question = self._settings.check_request
            if question is None:
                return _reached(client.ask(Question(method="HEAD"), {}))
            answer = client.ask(question, {})
        if answer.status not in question.codes:
            raise refusal(answer)
        if question.rule and not holds(answer, question.rule):
            raise ConfigurationError("the answer to check_request does not hold what its rule says")
        return f"HTTP server, log-in accepted ({answer.status})"

    def send(self, shipment: Shipment) -> None:
        """Send what has not arrived, one request after another; each is planned before and remembered after.

        Raises
        ------
        Rejected
            It refuses, or nothing of the study can be drawn.
        ConfigurationError
            It refuses the log-in, redirects, or TLS does not work.
        Retriable
            It is away, overloaded or too slow.
        """
        if not shipment.new:
            return
        end = time.monotonic() + shipment.seconds
        send = self._settings.send
        study = Study(shipment)
        source, plan = Source(send, shipment, study), Plan(shipment.journal, send)
        with self._client() as client:
            for unit in study.units(send.level, shipment.new):
                for group in plan.groups(unit, source):
                    plan.write(group)
                    values = study.values(send.level, group.instances[0])
                    Sending(client, shipment, plan, values, end).group(group)
                    source.drop([thing for things in group.things for thing in things])
        drawn = sum(bool(plan.requests(instance)) for instance in shipment.all)
        if not drawn:
            raise Rejected(f"none of {len(shipment.all)} instances can be drawn: there is nothing to send")
        if drawn < len(shipment.all):
            left = len(shipment.all) - drawn
            shipment.remarks.append(f"{left} of {len(shipment.all)} instances cannot be drawn: they are not sent")

    def confirm(self, shipment: Shipment) -> int:
        """Count the instances whose requests were taken; where the far side can be asked, that it is done with them.

        An instance that cannot be drawn is not counted and not missed.

        Raises
        ------
        Retriable
            Something was not taken or is not done yet.
        Rejected
            The far side says that it has refused something for good.
        """
        plan = Plan(shipment.journal, self._settings.send)
        every = {instance: plan.requests(instance) for instance in shipment.all}
        there = [i for i, requests in every.items() if requests is not None and all(plan.arrived(*r) for r in requests)]
        if len(there) < len(every):
            raise Retriable(f"{len(there)} of {len(every)} instances are at the destination")
        if self._settings.confirm:
            self._await(shipment, plan, {r: i for i in there for r in every[i] or () if not plan.done(*r)})
        return sum(bool(requests) for requests in every.values())

    def _await(self, shipment: Shipment, plan: Plan, open_: Mapping[tuple[str, int], str]) -> None:
        """Ask after each request that is not known to be done; `open_` maps it to one of its instances."""
        question, level = self._settings.confirm, self._settings.send.level
        if not open_ or question is None:
            return
        study, end, waiting, after_s = Study(shipment), time.monotonic() + shipment.seconds, 0, 0.0
        with self._client() as client:
            for (digest, number), instance in open_.items():
                receipt = plan.arrived(digest, number)
                values = study.values(level, instance) | {"remote": receipt.remote if receipt else ""}
                until(end)
                answer = client.ask(question, values)
                if _done(question, answer):
                    plan.note_done(digest, number)
                else:
                    waiting, after_s = waiting + 1, max(after_s, _wait(answer))
        if waiting:
            raise Retriable(f"the destination is not done with {waiting} of {len(open_)} requests", after_s=after_s)

    @contextlib.contextmanager
    def _client(self) -> Iterator[Client]:
        session = Session(self._settings, str(self._settings.proxy) if self._settings.proxy else None)
        try:
            yield Client(self._settings, session)
        finally:
            session.close()


def _done(question: Confirmation, answer: Answer) -> bool:
    """Answer whether the far side says that it is done; raise Rejected where it never will be."""
    if answer.status not in question.codes:
        return False
    if question.failed and holds(answer, question.failed):
        raise Rejected("the destination says that it has refused what was sent")
    return question.rule is None or holds(answer, question.rule)


def _wait(answer: Answer) -> float:
    """Return the seconds that an answer which is no yes asks for; raise what it means unless it is `not yet`."""
    why = refusal(answer)
    if answer.status != 404 and answer.status >= 300:  # noqa: PLR2004  # RFC 9110 section 15
        raise why
    return retry_after_s(answer)


def _reached(answer: Answer) -> str:
    """Say what an answer to a request of our own making tells: a path that is not there is no fault."""
    why = refusal(answer)
    if not 200 <= answer.status < 300 and answer.status != 501 and not isinstance(why, Rejected):  # noqa: PLR2004  # RFC 9110
        raise why
    return f"HTTP server, answers with {answer.status}; only a check_request can prove the log-in"
