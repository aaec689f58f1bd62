"""Review: one question a place, least certain first, answered by one key; what is answered becomes corrections."""

from __future__ import annotations

from functools import partial

import streamlit as st

from celltrail.dashboard import parts
from celltrail.dashboard.correcting import panel
from celltrail.dashboard.correcting.desk import log_of
from celltrail.dashboard.judging import cards, charts, questions, review
from celltrail.dashboard.judging.questions import Filter, Review
from celltrail.dashboard.opening import content, state
from celltrail.dashboard.viewer import show_viewer
from celltrail.data.words import counted

ORDERS = {"Least certain first": False, "Random sample": True}
TABLE_ROWS = 300


def choose_filter(found: Review, result: content.Result) -> tuple[list[int], bool]:
    """Which questions are shown, and whether they are the random sample."""
    numbers = result.labels.numbers
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    order = left.segmented_control(
        "Order",
        list(ORDERS),
        default="Least certain first",
        key="review_order",
        required=True,
        help="Least certain first finds most errors soonest. The answers to the random sample tell how many decisions "
        "are wrong in all, with an interval: a certificate.",
    )
    sampled = ORDERS[order]
    with right.popover("Filter", icon=":material/filter_alt:", width="stretch"):
        kinds = st.pills(
            "Kinds",
            list(questions.KINDS),
            selection_mode="multi",
            key="review_kinds",
            help="  \n".join(f"**{kind}**: {meaning}" for kind, meaning in questions.KINDS.items()),
        )
        track = st.number_input("Track", min_value=0, value=None, step=1, key="review_track", placeholder="all")
        frames = (
            st.slider("Frames", numbers[0], numbers[-1], (numbers[0], numbers[-1]), key="review_frames")
            if len(numbers) > 1
            else None
        )
        box = choose_region(found, result)
    wanted = Filter(tuple(kinds), int(track or 0), frames, box)
    return found.numbers(wanted, sampled=sampled), sampled


def choose_region(found: Review, result: content.Result) -> tuple[float, float, float, float] | None:
    """A box drawn around questions in a map of the movie."""
    st.caption("Region: draw a box around the places; a double click takes all again.")
    shown = [i for i in found.numbers(Filter()) if i not in found.answers][:TABLE_ROWS]
    places = [found.questions.place(i) for i in shown]
    st.plotly_chart(
        charts.draw_map(
            [(place.x, place.y, 1 - place.probability_wrong) for place in places], tuple(result.labels.shape[-2:])
        ),
        key="review_region",
        config=charts.CONFIG | {"modeBarButtonsToRemove": ["lasso2d", "autoScale2d"]},
        on_select="rerun",
        selection_mode="box",
        alt="Where the least certain decisions lie",
    )
    boxes = st.session_state.review_region.selection.get("box") or []
    if not boxes:
        return None
    x, y = boxes[0]["x"], boxes[0]["y"]
    return min(y), min(x), max(y), max(x)


def show_progress(found: Review, sampled: bool) -> None:
    """How much of the expected errors was looked at, what is left, and what the sample says."""
    if sampled:
        drawn = set(found.sample.tolist())
        done = len(drawn & set(found.answers))
        certificate = found.certificate()
        st.progress(done / max(len(drawn), 1), text=f"**{done} of {len(drawn)}** decisions of the sample answered")
        if certificate is not None:
            st.text(f"Certificate: {certificate.sentence}.")
        return
    st.progress(
        min(1.0, found.seen),
        text=f"**{100 * found.seen:.0f} %** of the expected errors seen, in {counted(len(found.answers), 'answer')}; "
        f"about **{found.left:,.1f}** expected at the places left",
    )


def go_to(found: Review, shown: list[int], index: int, zoom: float) -> None:
    """Show the question with this index of the list, in every view."""
    i = shown[index % len(shown)]
    place = found.questions.place(i)
    st.session_state.review_question = i
    state.look_at(t=place.frame, track=place.track, focus={"y": place.y + 0.5, "x": place.x + 0.5, "zoom": zoom})


def take_answer(
    found: Review, shown: list[int], index: int, zoom: float, result: content.Result, answer: str, instead: bool = False
) -> None:
    """One answer: what follows is pinned, and the next open question is shown."""
    i = shown[index]
    correct = found.correct_cell(i, found.questions.alternative(i)) if instead else None
    given = found.answer(i, answer, correct)
    if not panel.take(result, found.pins([given])):
        return  # it contradicts another one, and the corrections say how
    found.take(i, given)
    later = [*range(index + 1, len(shown)), *range(index)]
    go_to(found, shown, next((n for n in later if shown[n] not in found.answers), index), zoom)


def take_back(found: Review, shown: list[int], zoom: float, result: content.Result) -> None:
    """Forget the last answer, and stand before its question again."""
    last = found.take_back()
    if last is None:
        return
    i, pins = last
    desk = log_of(result)
    for pin in pins:
        if pin in desk.done:
            desk.undo(pin)
    if i in shown:
        go_to(found, shown, shown.index(i), zoom)


def show_card(selection: state.Selection, result: content.Result, found: Review, shown: list[int]) -> None:
    """One question: pictures, the two answers, and the buttons with their keys."""
    session, zoom = st.session_state, review.close_up(result, across=300)
    about = (result.layer.id, content.stamp(result.layer.folder))
    if session.get("review_about") != about or session.get("review_question") not in shown:
        session.review_about = about
        go_to(found, shown, next((n for n, i in enumerate(shown) if i not in found.answers), 0), zoom)
    i = session.review_question
    index = shown.index(i)
    place, given = found.questions.place(i), found.answers.get(i)
    frames, shape = state.clock_of(selection)
    told = f" · answered: **{given.answer}**" if given else ""
    asks = (
        "How does track {} go on after frame {}?"
        if questions.is_about_the_future(place.kind)
        else ("Where does track {} come from in frame {}?")
    )
    st.markdown(
        f"**{index + 1} of {len(shown):,}: {asks.format(place.track, place.frame)}** ({place.kind}, wrong with a "
        f"probability of {100 * place.probability_wrong:.0f} %){told}"
    )
    panes = cards.draw_panes(selection.movie, result.layer, found.questions, i, result.labels.numbers)
    show_viewer(
        panes,
        key="review_viewer",
        frames=frames,
        shape=shape,
        t=place.frame,
        selected={},
        revision=session.revision,
        columns=len(panes),
        height="clamp(170px, 34vh, 900px)",
        focus=session.get("focus"),
        place=f"{selection.movie.id} review",
        compact=True,
        on_pick_change=partial(panel.take_pick, "review_viewer"),
    )
    cards.show_choices(found.questions, i)
    other = found.questions.alternative(i)
    take = partial(take_answer, found, shown, index, zoom, result)
    with st.container(horizontal=True):
        st.button("Right", shortcut="Y", key="answer_right", on_click=take, args=("right",), type="primary")
        st.button(
            "Instead",
            shortcut="A",
            key="answer_instead",
            on_click=take,
            args=("wrong", True),
            disabled=not other.what,
            help=f"Wrong, and this is true: {cards.in_words(found.questions, other)}.",
        )
        st.button("Wrong", shortcut="N", key="answer_wrong", on_click=take, args=("wrong",), help="Neither is true.")
        st.button("Cannot tell", shortcut="U", key="answer_unsure", on_click=take, args=("cannot tell",))
        st.button("Undo", shortcut="Z", key="answer_undo", on_click=take_back, args=(found, shown, zoom, result))
        st.button("Back", shortcut="K", key="review_back", on_click=go_to, args=(found, shown, index - 1, zoom))
        st.button("Skip", shortcut="J", key="review_skip", on_click=go_to, args=(found, shown, index + 1, zoom))
        if st.button("Open in Browse", key="review_browse"):
            st.switch_page("views/browse.py")


def show_list(found: Review, shown: list[int], zoom: float) -> None:
    """The questions as a table; a row goes there."""
    index = shown.index(st.session_state.review_question)
    first = index // TABLE_ROWS * TABLE_ROWS
    part = shown[first : first + TABLE_ROWS]

    def take_row() -> None:
        rows = st.session_state.review_table.selection.rows
        if rows:
            go_to(found, shown, first + rows[0], zoom)

    places = [found.questions.place(i) for i in part]
    answered = [found.answers[i].answer if i in found.answers else "" for i in part]
    st.dataframe(
        {
            "": ["▸" if first + n == index else "" for n in range(len(part))],
            "answer": answered,
            "wrong": [place.probability_wrong for place in places],
            "kind": [place.kind for place in places],
            "frame": [place.frame for place in places],
            "track": [place.track for place in places],
            "chosen": [cards.in_words(found.questions, found.questions.chosen(i)) for i in part],
            "instead": [cards.in_words(found.questions, found.questions.alternative(i)) for i in part],
        },
        key="review_table",
        hide_index=True,
        height=260,
        selection_mode="single-row",
        on_select=take_row,
        column_config={
            "": st.column_config.TextColumn(width=28),
            "wrong": st.column_config.ProgressColumn(
                "probability of being wrong", format="percent", min_value=0, max_value=1, width=180
            ),
        },
        alt="Questions with their probabilities and answers",
    )


def show() -> None:
    """The page."""
    selection = parts.selection()
    result = parts.tracked(selection, "Nothing to review yet")
    if result is None:
        return
    found = questions.open_review(result)
    if found is not None and not len(found.questions):
        parts.empty("Nothing to review", "Nothing had to be decided in this movie: it has a single frame with cells.")
        return
    if found is None:
        parts.empty(
            "No probabilities",
            "This result does not say how sure it is: another tracker or an earlier version made it. What looks odd "
            "in it by rules is on the page Errors.",
            "celltrail track 01_MASKS --out 01_RES",
        )
        return
    said = (result.run or {}).get("confidence")
    if isinstance(said, dict) and isinstance(said.get("sentence"), str):
        text = said["sentence"]
        st.text(f"{text[:1].upper()}{text[1:]}.")
    shown, sampled = choose_filter(found, result)
    show_progress(found, sampled)
    if not shown:
        st.info("No question passes the filter.")
        return
    with st.container(border=True):
        show_card(selection, result, found, shown)
    panel.show_corrections(result)
    show_list(found, shown, review.close_up(result, across=300))
    st.download_button(
        "Download the answers",
        found.table(),
        file_name=found.file.name,
        mime="text/csv",
        key="review_answers",
        on_click="ignore",
        disabled=not found.answers,
    )
    if not found.saved:
        st.caption(
            "Nothing can be written beside this result: download the answers, they last only as long as the server."
        )
    st.caption(
        f"Answers are kept in {found.file.name} beside the result; 'celltrail review RES --answers' reads them. What "
        "looks odd by rules, without a probability, is on the page Errors."
    )


st.title("Review")
show()
