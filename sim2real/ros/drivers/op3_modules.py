"""Who moves OP3's joints, and its servos' items, over ROBOTIS's topics; needs rclpy.

With ``robotis_controller_msgs`` as ROBOTIS's framework speaks; without, over the twin's stand-in on
standard types, which no real robot offers.
"""

import importlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.qos import QoSProfile
from std_msgs.msg import String
from std_srvs.srv import Trigger

from legged_skills.sim2real.ros.drivers.base import Driver
from legged_skills.sim2real.ros.topics import Op3, Op3StandIn

RELIABLE = QoSProfile(depth=10)
Modules = dict[str, str]
"""Module of each joint."""


class Op3Modules:
    """Asks the robot's manager about modules, and writes items of its servos.

    Attributes:
        service: name of the service that is asked.
        true_messages: whether ``robotis_controller_msgs`` is there.
    """

    def __init__(
        self,
        driver: Driver,
        names: Sequence[str],
        heard: Callable[[Modules], None],
        status: Callable[[str], None],
    ) -> None:
        """Subscribes.

        Args:
            driver: whose subscriptions they are.
            names: the joints.
            heard: called with the modules of some joints whenever the robot says them.
            status: called with each status text.
        """
        self._driver, self._names, self._heard, self._status = driver, list(names), heard, status
        self._waiting: Any = None
        node = driver.node
        try:
            messages: Any = importlib.import_module("robotis_controller_msgs.msg")
            services: Any = importlib.import_module("robotis_controller_msgs.srv")
        except ImportError:
            self.true_messages = False
            self.service = Op3StandIn.GET_MODULES_SERVICE
            self._client = node.create_client(Trigger, self.service)
            driver.subscribe(
                String, Op3StandIn.PRESENT_JOINT_CTRL_MODULES, self._modules_json, RELIABLE
            )
            driver.subscribe(String, Op3StandIn.STATUS, self._status_json, RELIABLE)
            self._items = driver.publisher(String, Op3StandIn.SYNC_WRITE_ITEM, RELIABLE)
        else:
            self.true_messages = True
            self.service = Op3.GET_MODULES_SERVICE
            self._client = node.create_client(services.GetJointModule, self.service)
            driver.subscribe(
                messages.JointCtrlModule, Op3.PRESENT_JOINT_CTRL_MODULES, self._modules, RELIABLE
            )
            driver.subscribe(messages.StatusMsg, Op3.STATUS, self._status_message, RELIABLE)
            self._items = driver.publisher(messages.SyncWriteItem, Op3.SYNC_WRITE_ITEM, RELIABLE)
            self._item_type = messages.SyncWriteItem
            self._request_type = services.GetJointModule.Request

    def close(self) -> None:
        """Ends the client."""
        self._driver.node.destroy_client(self._client)

    @property
    def there(self) -> bool:
        """Whether somebody answers."""
        return self._client.service_is_ready()

    def ask(self) -> None:
        """Asks for the modules, unless an answer is still due."""
        if self._waiting is not None and not self._waiting.done():
            self._client.remove_pending_request(self._waiting)
        if self.true_messages:
            request = self._request_type(joint_name=self._names)
        else:
            request = Trigger.Request()
        self._waiting = self._client.call_async(request)
        self._waiting.add_done_callback(self._answered)

    @property
    def listened(self) -> bool:
        """Whether somebody hears the items."""
        return self._items.get_subscription_count() > 0

    def write_item(self, item: str, values: Sequence[int]) -> None:
        """Writes one item of the servos of all joints.

        Items of different kinds must be two cycles of the bus apart; that is the caller's.
        """
        if self.true_messages:
            message = self._item_type(item_name=item, joint_name=self._names, value=list(values))
        else:
            fields = {"item_name": item, "joint_name": self._names, "value": list(values)}
            message = String(data=json.dumps(fields))
        self._items.publish(message)

    def _answered(self, future: Any) -> None:
        answer = None if future.exception() is not None else future.result()
        if answer is None:
            return
        if self.true_messages:
            self._modules(answer)
        else:
            self._modules_json(String(data=answer.message))

    def _modules(self, message: Any) -> None:
        if len(message.joint_name) == len(message.module_name):
            self._heard(dict(zip(message.joint_name, message.module_name, strict=True)))

    def _modules_json(self, message: String) -> None:
        try:
            fields = json.loads(message.data)
            if "joint_name" in fields:
                fields = dict(zip(fields["joint_name"], fields["module_name"], strict=True))
            self._heard({str(joint): str(module) for joint, module in fields.items()})
        except (ValueError, TypeError, KeyError, AttributeError):
            self._driver.node.get_logger().warning("a table of modules is no JSON.")

    def _status_message(self, message: Any) -> None:
        self._status(message.status_msg)

    def _status_json(self, message: String) -> None:
        try:
            self._status(str(json.loads(message.data)["status_msg"]))
        except (ValueError, TypeError, KeyError):
            self._driver.node.get_logger().warning("a status is no JSON.")
