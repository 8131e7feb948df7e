"""When people are told of something that lasts."""

from base.reminder import Reminder


def test_it_is_shown_often_and_said_ever_more_seldom() -> None:
    clock = [0.0]
    reminder = Reminder(now=lambda: clock[0])
    said, shown = [], 0
    for second in range(2400):
        clock[0] = float(second)
        show, say = reminder.due(lasts=True)
        shown += show
        said += [second] if say else []
    assert said == [30, 90, 210, 450, 930, 1530, 2130]
    assert shown == 479
    assert reminder.due(lasts=False) == (False, False)
    assert reminder.due(lasts=True) == (False, False), "the next time begins anew"
