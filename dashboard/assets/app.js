// Shows how many devices there are.
const answer = await fetch("/api/v1/fleet?limit=1");
const fleet = await answer.json();
document.getElementById("page").textContent = `Plenum: ${fleet.counts.devices} devices`;
