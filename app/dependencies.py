"""The words that the routers speak: who asks, what the server has, and which part of a list is wanted."""

from app.creating import OnceDep as OnceDep
from app.creating import created as created
from app.lists import PartDep as PartDep
from app.lists import WindowDep as WindowDep
from app.lists import listed as listed
from app.lists import part_of as part_of
from app.paths import DatasetId as DatasetId
from app.paths import JobId as JobId
from app.paths import ModelId as ModelId
from app.queries import Wait as Wait
from app.routing import PROBLEMS as PROBLEMS
from app.routing import StrictRoute as StrictRoute
from app.routing import media_type as media_type
from app.routing import need_json as need_json
from app.routing import need_room as need_room
from app.routing import router as router
from app.routing import sent_bytes as sent_bytes
from app.routing import with_room as with_room
from app.schemas import rename as rename
from app.state import PrincipalDep as PrincipalDep
from app.state import State as State
from app.state import StateDep as StateDep
from app.state import principal_of as principal_of
from app.state import state_of as state_of
