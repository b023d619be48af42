# gcloud: creates a job, streams its log to the end, lists and reads it, in two versions of the API; stores a file.
set -e
name=$(gcloud ai custom-jobs create --region=us-central1 --display-name=gcloud --format='value(name)' \
  --worker-pool-spec="machine-type=n1-standard-4,replica-count=1,container-image-uri=$IMAGE")
gcloud ai custom-jobs stream-logs "$name" --region=us-central1 --polling-interval=1
gcloud beta ai custom-jobs list --region=us-central1 --filter='displayName=gcloud' --format='value(state)'
gcloud logging read "resource.labels.job_id=${name##*/} AND textPayload=trained" --format='value(textPayload)'
gcloud storage buckets create gs://by-gcloud --location=us-central1
echo copied >note.txt
gcloud storage cp note.txt gs://by-gcloud/folder/
gcloud storage cat gs://by-gcloud/folder/note.txt
