"""A robot elsewhere: it writes what it sees to Kafka, and does what it is told in time.

python far_robot.py localhost:9092 observations actions 200

Where no action comes within a step of control it holds still, and says so with its next
observation: nothing wrong is learned from an action that was never done.
"""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

ENV, DT = "Pendulum-v1", 0.05


def listening(bootstrap: str, topic: str) -> KafkaConsumer:
    """Read a topic from now on."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, fetch_max_wait_ms=10
    )
    parts = [TopicPartition(topic, one) for one in consumer.partitions_for_topic(topic)]
    consumer.assign(parts)
    for part in parts:
        consumer.seek_to_beginning(part)
    while any(consumer.highwater(part) is None for part in parts):
        consumer.poll(20)
    for part in parts:
        consumer.seek(part, consumer.highwater(part))
    return consumer


def told(consumer: KafkaConsumer, step: int, until: float) -> list[float] | None:
    """Wait for the action of this step; None where it does not come in time."""
    while (left := until - time.monotonic()) > 0:
        for records in consumer.poll(round(1000 * left)).values():
            for record in records:
                answer = json.loads(record.value)
                if answer["step"] == step:
                    action: list[float] = answer["action"]
                    return action
    return None


def live(bootstrap: str, seen: str, done: str, steps: int) -> Iterator[dict[str, Any]]:
    """Live so many steps; give what came of each."""
    env = gymnasium.make(ENV)
    space: Any = env.action_space
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=0)
    consumer = listening(bootstrap, done)
    obs, _ = env.reset(seed=0)
    word: dict[str, Any] = {"robot": "arm 7", "step": 0, "reset": True}
    for step in range(steps):
        begun = time.monotonic()
        word |= {"step": step, "observation": obs.tolist()}
        producer.send(seen, json.dumps(word).encode(), key=b"arm 7")
        answer = told(consumer, step, begun + DT)
        waited = time.monotonic() - begun
        action = np.zeros(space.shape) if answer is None else np.array(answer)
        obs, reward, ended, over, _ = env.step(action * space.high)
        word = {"robot": "arm 7", "action": action.tolist(), "reward": float(reward)}
        if ended or over:
            obs, _ = env.reset()
            word = {"robot": "arm 7", "reset": True}
        yield {"step": step, "told": answer is not None, "seconds": waited}
        time.sleep(max(0.0, begun + DT - time.monotonic()))
    producer.close()
    consumer.close(autocommit=False)
    env.close()


if __name__ == "__main__":
    _, BOOTSTRAP, SEEN, DONE, STEPS = sys.argv
    ran = list(live(BOOTSTRAP, SEEN, DONE, int(STEPS)))
    in_time = [one["seconds"] for one in ran if one["told"]]
    middle, most = np.percentile(in_time or [np.nan], (50, 99))
    print(f"{len(in_time)} of {len(ran)} actions in time; round trip {1000 * middle:.1f} ms,")
    print(f"99 % within {1000 * most:.1f} ms")
