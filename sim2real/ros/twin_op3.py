"""The topics of ROBOTIS's OP3 as its twin offers them; needs rclpy.

Where ``robotis_controller_msgs`` is installed its services and messages are there; elsewhere a
stand-in on standard types (``topics.Op3StandIn``). The other topics have standard types anyway.
"""

import importlib
import importlib.util
import json
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import Imu, JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from legged_skills.sim2real.ros.filling import fill_imu, fill_joints
from legged_skills.sim2real.ros.topics import ROBOTIS_MESSAGES, Op3, Op3StandIn
from legged_skills.sim2real.twin.op3_manager import Op3Manager
from legged_skills.sim2real.twin.twin import Sent, Twin


class Op3Face:
    """What OP3's twin publishes, subscribes to and serves.

    Attributes:
        command_topic: where joint targets are taken.
        true_messages: whether ``robotis_controller_msgs`` is there.
    """

    command_topic = Op3.SET_JOINT_STATES

    def __init__(self, node: Node, twin: Twin, heard: Callable[[], None]) -> None:
        """Offers the topics.

        Args:
            node: the twin's node.
            twin: an OP3.
            heard: called with every message and request.
        """
        self._node, self._twin, self._heard = node, twin, heard
        # All reliable and volatile, with ROBOTIS's depths.
        out = node.create_publisher
        self._present = out(JointState, Op3.PRESENT_JOINT_STATES, 10)
        self._goal = out(JointState, Op3.GOAL_JOINT_STATES, 10)
        self._imu = out(Imu, Op3.IMU, 1)
        self._button = out(String, Op3.BUTTON, 1)
        self._joints_message, self._goal_message = JointState(), JointState()
        self._imu_message = Imu()
        self._imu_message.header.frame_id = Op3.IMU_FRAME
        self._hear(JointState, Op3.SET_JOINT_STATES, self._set_joint_states, 10)
        self._hear(String, Op3.ENABLE_CTRL_MODULE, self._enable_ctrl_module, 10)
        self._hear(String, Op3.INI_POSE, lambda m: self._manager.ini_pose(m.data), 5)
        self._hear(String, Op3.DXL_TORQUE, lambda _: self._manager.dxl_torque(), 1)
        self.true_messages = importlib.util.find_spec(ROBOTIS_MESSAGES) is not None
        if self.true_messages:
            self._offer_true()
        else:
            self._offer_stand_in()

    @property
    def _manager(self) -> Op3Manager:
        manager = self._twin.manager
        assert manager is not None
        return manager

    def _hear(self, kind: Any, topic: str, act: Callable[[Any], object], depth: int) -> None:
        def callback(message: Any) -> None:
            self._heard()
            act(message)

        self._node.create_subscription(kind, topic, callback, depth)

    def _set_joint_states(self, message: JointState) -> None:
        self._twin.command(list(message.name), message.position)

    def _enable_ctrl_module(self, message: String) -> None:
        self._manager.enable_ctrl_module(message.data)

    def _offer_true(self) -> None:
        msg = importlib.import_module(f"{ROBOTIS_MESSAGES}.msg")
        srv = importlib.import_module(f"{ROBOTIS_MESSAGES}.srv")
        node, manager = self._node, lambda: self._manager
        status = node.create_publisher(msg.StatusMsg, Op3.STATUS, 1)
        modules = node.create_publisher(msg.JointCtrlModule, Op3.PRESENT_JOINT_CTRL_MODULES, 10)

        def tell_status(kind: int, module: str, text: str) -> None:
            message = msg.StatusMsg(type=kind, module_name=module, status_msg=text)
            message.header.stamp = node.get_clock().now().to_msg()
            status.publish(message)

        def tell_modules() -> None:
            table = manager().assignment()
            modules.publish(
                msg.JointCtrlModule(joint_name=list(table), module_name=list(table.values()))
            )

        def get_modules(request: Any, response: Any) -> Any:
            self._heard()
            pairs = manager().modules_of(request.joint_name)
            response.joint_name = [joint for joint, _ in pairs]
            response.module_name = [module for _, module in pairs]
            return response

        def set_modules(request: Any, response: Any) -> Any:
            # The result stays false, as in ROBOTIS's framework: read back to be sure.
            self._heard()
            manager().set_joint_ctrl_modules(request.joint_name, request.module_name)
            return response

        def set_module(request: Any, response: Any) -> Any:
            self._heard()
            response.result = manager().enable_ctrl_module(request.module_name)
            return response

        self._tell_status, self._tell_modules = tell_status, tell_modules
        node.create_service(srv.GetJointModule, Op3.GET_MODULES_SERVICE, get_modules)
        node.create_service(srv.SetJointModule, Op3.SET_MODULES_SERVICE, set_modules)
        node.create_service(srv.SetModule, Op3.SET_MODULE_SERVICE, set_module)
        self._hear(
            msg.JointCtrlModule,
            Op3.SET_JOINT_CTRL_MODULES,
            lambda m: manager().set_joint_ctrl_modules(m.joint_name, m.module_name),
            10,
        )
        self._hear(
            msg.SyncWriteItem,
            Op3.SYNC_WRITE_ITEM,
            lambda m: manager().sync_write_item(m.item_name, m.joint_name, m.value.tolist()),
            10,
        )

    def _offer_stand_in(self) -> None:
        node = self._node
        status = node.create_publisher(String, Op3StandIn.STATUS, 1)
        modules = node.create_publisher(String, Op3StandIn.PRESENT_JOINT_CTRL_MODULES, 10)

        def tell_status(kind: int, module: str, text: str) -> None:
            fields = {"type": kind, "module_name": module, "status_msg": text}
            status.publish(String(data=json.dumps(fields)))

        def tell_modules() -> None:
            table = self._manager.assignment()
            fields = {"joint_name": list(table), "module_name": list(table.values())}
            modules.publish(String(data=json.dumps(fields)))

        def get_modules(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            self._heard()
            response.success, response.message = True, json.dumps(self._manager.assignment())
            return response

        self._tell_status, self._tell_modules = tell_status, tell_modules
        node.create_service(Trigger, Op3StandIn.GET_MODULES_SERVICE, get_modules)
        self._hear(String, Op3StandIn.SET_JOINT_CTRL_MODULES, self._set_modules_json, 10)
        self._hear(String, Op3StandIn.SYNC_WRITE_ITEM, self._sync_write_json, 10)

    def _fields(self, text: str, **fit: Callable[[Any], bool]) -> list[Any] | None:
        """The fields of a message in JSON; None, and a warning, if they do not fit."""
        try:
            data = json.loads(text)
            fields = [data[name] for name in fit]
            if all(fits(field) for fits, field in zip(fit.values(), fields, strict=True)):
                return fields
        except (ValueError, KeyError, TypeError):
            pass
        self._node.get_logger().warning(f"no JSON with {', '.join(fit)}: {text[:80]}")
        return None

    def _set_modules_json(self, message: String) -> None:
        fields = self._fields(message.data, joint_name=_are_texts, module_name=_are_texts)
        if fields is not None:
            self._manager.set_joint_ctrl_modules(*fields)

    def _sync_write_json(self, message: String) -> None:
        fields = self._fields(
            message.data, item_name=_is_text, joint_name=_are_texts, value=_are_numbers
        )
        if fields is not None:
            self._manager.sync_write_item(*fields)

    def publish(self, sent: Sent, now: Time) -> None:
        """Sends what arrives in a cycle."""
        stamp = now.to_msg()
        for joints in sent.joints:
            self._joints_message.header.stamp = stamp
            self._present.publish(fill_joints(self._joints_message, joints))
        self._goal_message.header.stamp = stamp
        self._goal.publish(fill_joints(self._goal_message, self._twin.goal_states()))
        for imu in sent.imu:
            self._imu_message.header.stamp = stamp
            self._imu.publish(fill_imu(self._imu_message, imu))
        manager = self._manager
        if manager.modules_changed:
            manager.modules_changed = False
            self._tell_modules()
        while manager.events:
            topic, kind, module, text = manager.events.popleft()
            if topic == "button":
                self._button.publish(String(data=text))
            else:
                self._tell_status(kind, module, text)

    def slow(self, now: Time) -> None:
        """Nothing is sent once a second."""


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_numbers(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, int | float) for item in value)
