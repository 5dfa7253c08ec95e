/** The page: a button that starts a task, and a bar that follows it. */
export const page = `<!doctype html>
<meta charset="utf-8">
<title>Thumbnails</title>
<h1>Thumbnails</h1>
<button>Make ten</button> <progress max="1" value="0"></progress> <output></output>
<script type="module">
  const [button, bar, output] = ['button', 'progress', 'output'].map((name) => document.querySelector(name));
  button.onclick = async () => {
    const images = Array.from({ length: 10 }, (_, index) => 'image-' + (index + 1) + '.png');
    const response = await fetch('/thumbnails', { method: 'POST', body: JSON.stringify({ images }) });
    const { events } = await response.json();
    const source = new EventSource(events);
    source.onmessage = ({ data }) => {
      const { state, result } = JSON.parse(data);
      output.textContent = state;
      if (state === 'PROGRESS') bar.value = result.current / result.total;
      if (state === 'SUCCESS') bar.value = 1;
      if (state === 'SUCCESS' || state === 'FAILURE' || state === 'REVOKED') source.close();
    };
  };
</script>
`;
